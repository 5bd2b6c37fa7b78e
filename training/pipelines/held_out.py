"""The test rows as the user's table has them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.table import Cells


def held_out_table(dataset: Dataset) -> pd.DataFrame:
    """The test rows in the user's form: with words, missing cells and the target.

    Returns:
        Input columns in the recipe's order, then the targets. Numbers are float32, so that a CSV file of them has short
        numbers and reads back the same. Missing cells are NaN or "".
    """
    x = dataset.x[dataset.test]
    cells: dict[str, NDArray[np.float32] | Cells | Numbers] = {}
    place = 0
    for column in dataset.columns:
        block = x[:, place : place + column.width]
        place += column.width
        if column.name in dataset.spelled:
            cells[column.name] = dataset.spelled[column.name][dataset.test]
        elif column.categories:
            cells[column.name] = np.array(column.categories, dtype=object)[block.argmax(axis=1)]
        else:
            cells[column.name] = block[:, 0].astype(np.float32)
    y = dataset.y[dataset.test]
    if dataset.classes:
        return pd.DataFrame(cells | {dataset.target: np.array(dataset.classes, dtype=object)[y]})
    cells |= dict(zip(dataset.targets, y.T, strict=True))
    return pd.DataFrame(cells)
