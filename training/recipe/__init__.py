"""The recipe: a TOML file that says which table, what to learn from it and how.

`config` reads it. Each section is a frozen pydantic model, in `sections` (table, network, graph) or in `fit_sections`
(the fit and the steps after it). `mistakes` says in plain words what is wrong with a recipe.

To add an option: a field with its range in one of the sections, the code that reads it, a line in docs/recipes.md.
"""
