"""From a file to matrices: the table, its columns as features, and the training, validation and test rows.

`table` reads the file, `column` and `encoding` turn cells into numbers, `missing` and `split` choose the rows, and
`dataset` does all of it for a recipe. `preparation` makes the tensors, transforms and the new network for a fit.
"""

from typing import Any

from kan_model.moved import old_attribute


def __getattr__(name: str) -> Any:
    return old_attribute(__name__, name, "training.data.dataset")
