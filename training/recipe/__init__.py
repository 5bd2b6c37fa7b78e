"""The recipe: a TOML file that names the table, the task, the network and the training.

`config` reads it. Each section is a frozen pydantic model, in `sections` (table, graph), in `network_section`, or in
`fit_sections` (the fit and the steps after it). `mistakes` writes a message for each mistake in a recipe.

To add an option: a field with its range in one of the sections, the code that reads it, a line in docs/recipes.md.
"""

# The largest batch, in rows, for which strategies can be timed.
MAX_ROWS = 65_536
# The most terms of two columns of an additive model.
MAX_PAIRS = 100
