"""A first recipe for a table.

`inspection` collects facts, `proposal` makes the choices (which columns, in `column_choice`), `draft` writes the file.
"""

from typing import Any

from kan_model.moved import old_attribute


def __getattr__(name: str) -> Any:
    return old_attribute(__name__, name, "training.draft.draft")
