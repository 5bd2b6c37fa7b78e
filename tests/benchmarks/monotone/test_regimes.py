"""The grid of rows and noise: what is fitted, what is kept, and the table of it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.monotone.fits import Fit
from benchmarks.monotone.outcome import Outcome
from benchmarks.monotone.page import ratio_with_half_width, regime_table, worst_turned
from benchmarks.monotone.regimes import GROUNDS, METHODS, NOISES, ROW_COUNTS, Regime, measure_all
from benchmarks.monotone.truths import TRUTHS, Floats, Rows


class Shifted:
    """A model that answers a plane, and something on top of it."""

    def __init__(self, shift: float) -> None:
        self._shift = shift

    def predict(self, x: pd.DataFrame) -> Floats:
        """The sum of the columns and the shift."""
        answers: Floats = x.to_numpy().sum(axis=1) + self._shift
        return answers


def test_every_regime_is_fitted_once_and_kept(tmp_path: Path) -> None:
    """Each draw has rows of its own, the same with and without the promise; a second run fits nothing."""
    asked: list[tuple[int, Mapping[str, str] | None]] = []
    firsts: list[float] = []

    def plane(_seed: int) -> Fit:
        def fit(train: Rows, promised: Mapping[str, str] | None) -> Shifted:
            asked.append((len(train.x), promised))
            firsts.append(float(train.x.to_numpy()[0, 0]))
            return Shifted(0.0 if promised else 1.0)

        return fit

    file = tmp_path / "new" / "regimes.jsonl"
    found = list(measure_all(TRUTHS, 2, file, {"plane": plane}))
    cells = len(TRUTHS) * len(ROW_COUNTS) * len(NOISES)
    # The second draw has none of the largest number of rows.
    wanted = 2 * cells - len(TRUTHS) * len(NOISES)
    assert len(found) == wanted
    assert len({regime for regime, _ in found}) == cells
    assert asked[: 2 * len(NOISES)] == [(ROW_COUNTS[0], each) for _ in NOISES for each in (None, TRUTHS[0].promised)]
    assert firsts[::2] == firsts[1::2]
    assert len(set(firsts)) == wanted
    assert all(set(outcomes) == {("plane", ground) for ground in GROUNDS} for _, outcomes in found)
    fits = len(asked)
    assert list(measure_all(TRUTHS, 2, file, {"plane": plane})) == found
    assert len(asked) == fits


def test_what_other_code_gave_is_measured_again(tmp_path: Path) -> None:
    """A kept line whose code is another one is not read."""
    file = tmp_path / "regimes.jsonl"

    def plane(_seed: int) -> Fit:
        return lambda _train, _promised: Shifted(0.0)

    methods = {"plane": plane}
    found = list(measure_all(TRUTHS, 1, file, methods))
    lines = file.read_text().splitlines()
    file.write_text("".join(line.replace('"code": "', '"code": "0') + "\n" for line in lines))
    assert list(measure_all(TRUTHS, 1, file, methods)) == found
    assert len(file.read_text().splitlines()) == 2 * len(lines)


@pytest.mark.parametrize(("shift", "is_bold"), [(-0.1, True), (0.0, False), (0.1, True)])
def test_the_half_width_is_that_of_the_mean_logarithm(shift: float, is_bold: bool) -> None:
    """As SciPy's interval of a mean; bold if the interval does not hold 1."""
    logs = np.random.default_rng(4).normal(shift, 0.05, 20)
    text = ratio_with_half_width([Outcome(1.0, float(np.exp(log)), 0, 0) for log in logs])
    interval = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    mean, half = (float(number) for number in text.strip("*").split(" ± "))
    assert np.log(mean) == pytest.approx(logs.mean(), abs=1e-3)
    assert half / mean == pytest.approx((interval.high - interval.low) / 2, abs=1e-3)
    assert text.startswith("**") == is_bold == (interval.high < 0 or interval.low > 0)


def test_a_table_has_a_line_for_each_regime_and_the_means_over_them() -> None:
    """The ratio of each cell is its own; a mean over noises is of that number of rows alone."""
    measured = []
    for truth in TRUTHS:
        for rows in ROW_COUNTS:
            for noise in NOISES:
                for draw in (0, 1):
                    ratio = (
                        (0.5 if rows == ROW_COUNTS[0] else 1.0) * (1 + 0.01 * draw) * (1 if truth == TRUTHS[0] else 3)
                    )
                    outcome = Outcome(0.4, 0.4 * ratio, 0.25, 0.001 * draw)
                    measured.append(
                        (
                            Regime(truth.name, rows, noise),
                            {(method, ground): outcome for method in METHODS for ground in GROUNDS},
                        )
                    )
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in regime_table(TRUTHS[0], measured).splitlines()
    ]
    table = {(line[0], line[1]): line for line in lines[2:]}
    assert len(table) == len(lines) - 2 == 12 + 4 + 3 + 1
    assert table["60", "2"][2:6] == ["2", "0.400", "**0.502 ± 0.032**", "25 %"]
    assert table["60", "all"][4].startswith("**0.502 ± ")
    assert table["1,000", "all"][4].startswith("1.005 ± ")
    assert table["all", "1"][4].startswith(f"{1.005 * 0.5**0.25:.3f} ± ")
    assert table["all", "all"][4].startswith(f"**{1.005 * 0.5**0.25:.3f} ± ")
    assert worst_turned(measured) == 0.001
