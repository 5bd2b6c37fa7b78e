"""A table of small images, and a recipe for it."""

from pathlib import Path

import numpy as np

COLUMNS = [f"p{index}" for index in range(12)]
RECIPE = f"""
[model]
name = "bars"
[data]
path = "bars.csv"
target = "kind"
columns = {COLUMNS}
[task]
kind = "classification"
[image]
height = 3
width = 4
[network]
hidden = []
[[network.convolutions]]
channels = 2
[[network.convolutions]]
channels = 2
stride = 2
groups = 2
[fit]
grids = [2, 4]
steps = 12
learning_rate = 0.05
[lowering]
tune_for = [1]
"""


def write_bars(folder: Path) -> None:
    """Images of 3 × 4 pixels, a column or a row of which is bright."""
    draws = np.random.default_rng(0)
    lines = [",".join([*COLUMNS, "kind"])]
    for number in range(120):
        image = draws.uniform(0, 60, (3, 4))
        if number % 2:
            image[:, draws.integers(4)] += 180
        else:
            image[draws.integers(3)] += 180
        lines.append(",".join([*(f"{each:.1f}" for each in image.ravel()), "column" if number % 2 else "row"]))
    (folder / "bars.csv").write_text("\n".join(lines) + "\n")
