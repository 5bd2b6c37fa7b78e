"""The symbolic library, from the table that holds it."""

from docs.generate.text.tables import code, table
from kan_model.network.functions import ALIASES, FUNCTIONS

_HEAD = """# Symbolic functions

What an edge may become by `[symbolic]` or `auto_symbolic`. Of two functions that fit equally well the one of lower
complexity is taken. [Add a symbolic function](../add-a-function.md) says how to add one.
"""


def page() -> str:
    """A table of all of them, the simplest first."""
    rows = [
        [code(name), ", ".join(code(alias) for alias, of in ALIASES.items() if of == name), str(function.complexity)]
        for name, function in sorted(FUNCTIONS.items(), key=lambda item: item[1].complexity)
    ]
    return f"{_HEAD}\n{table(['function', 'also called', 'complexity'], rows)}"
