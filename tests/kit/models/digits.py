"""The demo model, trained and published by `kan-train`."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.kit.server.kan_serve import KanServe

BIN = Path(sys.executable).parent
RECIPE = Path(__file__).parents[3] / "training" / "recipes" / "digits.toml"


@dataclass(frozen=True)
class Digits:
    """Where the model and the folder of its run are."""

    models: Path
    run: Path


@dataclass(frozen=True)
class ServedDigits(Digits):
    """The same with a server of it."""

    server: KanServe


def train_digits(folder: Path) -> Digits:
    """Train digits into a folder, as the demo does."""
    places = ("--models", folder / "models", "--runs", folder / "runs")
    subprocess.run([BIN / "kan-train", "run", RECIPE, *places], check=True, timeout=600)
    return Digits(folder / "models", folder / "runs" / "digits")
