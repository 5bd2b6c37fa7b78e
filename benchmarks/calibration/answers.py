"""The probabilities of held-out rows, by split and method; kept in files, so that a run that was stopped goes on."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables.cells import key_of_code
from benchmarks.tables.methods import ours
from benchmarks.tables.methods.metrics import Floats
from benchmarks.tables.methods.peers import PEERS, Problem
from benchmarks.tables.splits import Split, read
from training.calibration import divide_scores

_ROOT = Path(__file__).parents[2]
_SECTION = "\n[calibration]\n"
OURS, UNDIVIDED, LIGHTGBM = "ours", "ours, T = 1", "LightGBM"
_METHODS = (OURS, UNDIVIDED, LIGHTGBM)


@dataclass(frozen=True)
class Answers:
    """What a method says of the held-out rows of a split; rows that we do not answer are left out of all methods.

    Attributes:
        probabilities: ``[rows, classes]``.
        truth: ``[rows]``, the classes.
    """

    probabilities: Floats
    truth: NDArray[np.int64]


def find_or_measure(split: Split, cache: Path) -> dict[str, Answers]:
    """The answers of each method; fits what is not in the cache yet for these rows and this code of ours."""
    place = cache / split.source.name / f"{split.number}-{split.fingerprint}-{key_of_code(_ROOT)}"
    file = place / "answers.npz"
    if not file.exists():
        place.mkdir(parents=True, exist_ok=True)
        found, truth = _measure(split, place)
        # As one array: NumPy's types of keywords are those of its own.
        np.savez_compressed(file, truth=truth, methods=np.stack([found[method] for method in _METHODS]))
    kept = np.load(file)
    return {method: Answers(each, kept["truth"]) for method, each in zip(_METHODS, kept["methods"], strict=True)}


def _measure(split: Split, place: Path) -> tuple[dict[str, Floats], NDArray[np.int64]]:
    source, train, test = split.source, read(split.train), read(split.test)
    classes = np.unique(train[source.target])
    known, truth = (np.searchsorted(classes, each[source.target]) for each in (train, test))
    problem = Problem(train.drop(columns=source.target), known, len(classes), place)
    peer = PEERS[LIGHTGBM].fit(problem)(test.drop(columns=source.target))
    ours.train(split.train, source.target, place / "ours", _SECTION)
    served, _ = ours.ask(place / "ours", source.name, split.test, [str(each) for each in classes])
    manifest = json.loads(next((place / "ours" / "models").glob("*/1/manifest.json")).read_text(encoding="utf-8"))
    undivided = divide_scores(served, 1 / manifest["calibration"]["temperature"])
    ours.tidy(place / "ours")
    answered = np.isfinite(served).all(axis=1)
    found = {OURS: served, UNDIVIDED: undivided, LIGHTGBM: peer}
    return {method: each[answered] for method, each in found.items()}, truth[answered].astype(np.int64)
