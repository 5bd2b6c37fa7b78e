"""A table of 20 columns as a person may have it: numbers, whole numbers, two columns of words, gaps."""

from pathlib import Path

import numpy as np
import pandas as pd

TARGET = "price"
WORDS = {"town": ("Bonn", "Jena", "Köln", "Trier", "Ulm"), "fuel": ("diesel", "electric", "gas")}
# Columns of which a twentieth of the cells is missing.
_GAPS = ("x2", "x5")


def write_table(path: Path, rows: int) -> None:
    """Write it as CSV; the same number of rows gives the same file."""
    random = np.random.default_rng(0)
    cells = {f"x{place}": random.normal(0, 10.0 ** (place % 4), rows).round(5) for place in range(12)}
    for name in _GAPS:
        cells[name][random.random(rows) < 0.05] = np.nan
    whole = {f"k{place}": random.integers(0, 10 ** (place + 2), rows) for place in range(5)}
    words = {name: random.choice(each, rows) for name, each in WORDS.items()}
    target = {TARGET: 2 * cells["x0"] + random.normal(0, 1, rows)}
    pd.DataFrame({**cells, **whole, **words, **target}).to_csv(path, index=False)


def write_recipe(path: Path, table: Path) -> None:
    """Write a recipe that reads all columns."""
    columns = [*(f"x{place}" for place in range(12)), *(f"k{place}" for place in range(5)), *WORDS]
    words = "\n".join(f"{name} = {list(each)}" for name, each in WORDS.items())
    path.write_text(
        f'[model]\nname = "large"\n[data]\npath = "{table.name}"\ntarget = "{TARGET}"\ncolumns = {columns}\n'
        f'missing = "median"\n[data.categories]\n{words}\n[task]\nkind = "regression"\n',
        encoding="utf-8",
    )
