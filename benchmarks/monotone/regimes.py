"""Where a promise helps: few and many rows, little and much noise, test rows inside and outside of the known ground.

Fixed before the first fit: two truths, four numbers of rows, three sizes of noise, 20 draws of each (8 of 1,000 rows,
which cost twice as much) with rows and noise of their own, 2,000 test rows inside and as many outside of [-1, 1],
errors against the truth without noise. A promise helps in a cell if the 95 % interval of the mean logarithm of the
ratio lies below 0, and costs if it lies above. Of 24 cells one does so by chance, so the means over cells count more
than a single one. The first truth is measured first. If time is short, the second one gets fewer draws, and all its
cells the same share: a draw takes all cells in turn.
"""

import hashlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.monotone.fits import Fit, kans, trees
from benchmarks.monotone.outcome import Outcome, judge
from benchmarks.monotone.truths import TRUTHS, Truth, draw_inside, draw_outside, draw_train
from benchmarks.tables.cells import key_of_code

ROW_COUNTS = (60, 120, 300, 1000)
NOISES = (0.5, 1.0, 2.0)
METHODS: Mapping[str, Callable[[int], Fit]] = {"KAN": kans, "trees": trees}
GROUNDS = {"inside": draw_inside, "outside": draw_outside}
_TEST_ROWS = 2_000
# Of five draws, those that have the largest number of rows too.
_DRAWS_OF_MANY_ROWS = (0, 2)
_ROOT = Path(__file__).parents[2]
_TRUTHS_FILE = Path(__file__).with_name("truths.py")


@dataclass(frozen=True)
class Regime:
    """A cell of the grid.

    Attributes:
        truth: The name of the truth.
        rows: Number of training rows.
        noise: Standard deviation of the noise over that of the truth.
    """

    truth: str
    rows: int
    noise: float


# By method and ground.
Outcomes = Mapping[tuple[str, str], Outcome]


def measure_all(
    truths: Sequence[Truth], draws: int, file: Path, methods: Mapping[str, Callable[[int], Fit]] = METHODS
) -> Iterator[tuple[Regime, Outcomes]]:
    """What each draw of each regime gave.

    Args:
        truths: Some of `TRUTHS`, one after the other.
        draws: Number of draws of each regime.
        file: Keeps what is measured, so that a run that was stopped goes on. What other code of ours, or other truths,
            gave is measured again.
        methods: By name, a fit for a seed.
    """
    code = f"{key_of_code(_ROOT)} {hashlib.sha256(_TRUTHS_FILE.read_bytes()).hexdigest()[:12]}"
    kept = dict(_read(file, code))
    file.parent.mkdir(parents=True, exist_ok=True)
    for truth, draw, rows, noise in itertools.product(truths, range(draws), ROW_COUNTS, NOISES):
        if rows == ROW_COUNTS[-1] and draw % 5 not in _DRAWS_OF_MANY_ROWS:
            continue
        regime = Regime(truth.name, rows, noise)
        found = kept.get((regime, draw))
        if found is None:
            found = measure(truth, regime, draw, methods)
            _append(file, code, regime, draw, found)
            print(draw, regime, f"{time.process_time():.0f} s of a processor", file=sys.stderr, flush=True)
        yield regime, found


def measure(truth: Truth, regime: Regime, draw: int, methods: Mapping[str, Callable[[int], Fit]]) -> Outcomes:
    """Fit one draw by each method without and with the promise, and judge them inside and outside."""
    random = np.random.default_rng([draw, TRUTHS.index(truth), regime.rows, round(10 * regime.noise)])
    train = draw_train(truth, regime.rows, regime.noise, random)
    tests = {ground: make(truth, _TEST_ROWS, random) for ground, make in GROUNDS.items()}
    found = {}
    for method, make in methods.items():
        fit = make(draw)
        free, monotone = fit(train, None), fit(train, truth.promised)
        for ground, test in tests.items():
            found[method, ground] = judge(free, monotone, test, truth.promised)
    return found


def _read(file: Path, code: str) -> Iterator[tuple[tuple[Regime, int], Outcomes]]:
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        kept = json.loads(line)
        if kept["code"] == code:
            outcomes = {(each["method"], each["ground"]): Outcome(**each["outcome"]) for each in kept["outcomes"]}
            yield (Regime(**kept["regime"]), kept["draw"]), outcomes


def _append(file: Path, code: str, regime: Regime, draw: int, found: Outcomes) -> None:
    outcomes = [
        {"method": method, "ground": ground, "outcome": asdict(each)} for (method, ground), each in found.items()
    ]
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"code": code, "regime": asdict(regime), "draw": draw, "outcomes": outcomes}) + "\n")
