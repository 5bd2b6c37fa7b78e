"""The test rows as the user's table has them."""

import csv

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.table import Cells


def held_out_csv(dataset: Dataset) -> str:
    """:func:`held_out_table` as CSV. A number is the shortest text that reads back as the same float32 or float64."""
    table = held_out_table(dataset)
    for name in table.columns:
        if table[name].dtype == np.float32:
            # As float64 pandas would write 0.30000001192092896 for 0.3: it turns the numbers into Python's.
            table[name] = table[name].to_numpy().astype(str).astype(np.float64)
    # Words are always quoted: pandas leaves a lone carriage return bare, which breaks the line.
    return table.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)


def held_out_table(dataset: Dataset) -> pd.DataFrame:
    """The test rows in the user's form: with words, missing cells and the target.

    Returns:
        Input columns in the recipe's order, then the targets. Numbers are float32 in inputs and float64 in targets.
        Missing cells are NaN or "".
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
