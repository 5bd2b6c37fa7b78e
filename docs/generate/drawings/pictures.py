"""The two pictures that come from a real run of training/recipes/formula.toml: network and formula, and the report.

Run as ``python docs/generate/drawings/pictures.py``, with chromium on the path, after a change to the pictures of
:mod:`kan_model.plot` or to report.html. The files are kept in docs/pictures/diagrams, as README.md shows one of them.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from kan_model.network.checkpoint import load
from kan_model.plot import diagram

ROOT = Path(__file__).parents[3]
_FOLDER = ROOT / "docs" / "pictures" / "diagrams"
_RECIPE = ROOT / "training" / "recipes" / "formula.toml"
_DOTS_PER_INCH = 110
_REPORT_WIDTH, _REPORT_HEIGHT = 900, 2040


def main() -> None:
    """Train with formulas and without, draw both, and take a picture of the report."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        splines = work / "splines.toml"
        splines.write_text(_RECIPE.read_text().split("[symbolic]")[0].replace('name = "formula"', 'name = "splines"'))
        for recipe in (splines, _RECIPE):
            _run(recipe, work)
        text = json.loads((work / "models/formula/1/manifest.json").read_text())["formula"]
        _draw(work, text).savefig(_FOLDER / "formula.png", dpi=_DOTS_PER_INCH)
        _take(work / "models/formula/1/report.html", _FOLDER / "report.png", work)


def _run(recipe: Path, work: Path) -> None:
    program = Path(sys.executable).with_name("kan-train")
    command: list[str | Path] = [program, "run", recipe, "--models", work / "models", "--runs", work / "runs"]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _draw(work: Path, formula: str) -> Figure:
    """Both networks side by side, what each is above it, the formula below."""
    figure = Figure(figsize=(6.6, 5.0), facecolor="white")
    titles = {"splines": "after the fit: three curves", "formula": "after [symbolic]: sin, x², exp"}
    for place, (name, title) in enumerate(titles.items()):
        axes = figure.add_axes((0.5 * place, 0.1, 0.5, 0.81))
        axes.imshow(_network(work, name))
        axes.set_axis_off()
        figure.text(0.25 + 0.5 * place, 0.94, title, ha="center", fontsize=11)
    figure.text(0.5, 0.03, formula, ha="center", family="monospace", fontsize=13)
    return figure


def _network(work: Path, name: str) -> NDArray[np.float32]:
    """Its diagram as a picture without the white around it."""
    rows = np.random.default_rng(0).uniform(-1, 1, (1000, 2))
    kan = load(work / "runs" / name / "kan.safetensors")
    drawn = BytesIO()
    diagram(kan, torch.from_numpy(rows), names=["x", "y"], outputs=["f"]).savefig(drawn, dpi=3 * _DOTS_PER_INCH)
    drawn.seek(0)
    picture = imread(drawn)
    inked = np.any(picture[..., :3] < 1, axis=-1)
    (lines,), (columns,) = np.nonzero(inked.any(axis=1)), np.nonzero(inked.any(axis=0))
    return picture[lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1]


def _take(page: Path, picture: Path, work: Path) -> None:
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("pictures: chromium is not on the path; it takes the picture of the report")
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--user-data-dir={work / 'profile'}",
        f"--window-size={_REPORT_WIDTH},{_REPORT_HEIGHT}",
        "--virtual-time-budget=5000",  # until the page has stopped changing
    ]
    command = [program, *options, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main()
