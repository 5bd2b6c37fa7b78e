"""Tables with a promise: which take part, what is measured on them, and the line that tells it."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.monotone.cases import CASES, Case
from benchmarks.monotone.outcome import Outcome, compare
from benchmarks.monotone.page import case_line
from benchmarks.monotone.truths import Rows
from benchmarks.tables.sources import SOURCES


def test_only_tables_for_choosing_take_part() -> None:
    """The other half is reported only, and never chosen on."""
    halves = {each.name: each.half for each in SOURCES}
    assert {halves[case.name] for case in CASES if case.name in halves} == {"choosing"}


def test_errors_and_turns_are_those_of_the_model() -> None:
    """Of a known model: its error, and the share of rows whose answer goes the wrong way."""
    x = pd.DataFrame({"a": np.linspace(-1, 1, 101)})
    test = Rows(x, None, np.zeros(101) + x["a"])

    class Square:
        """Falls on the left half."""

        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            """a²."""
            return rows["a"].to_numpy(dtype=np.float64) ** 2

    case = Case("one", {"a": "up"}, lambda _: (test, test))
    found = compare(case, 0, lambda _train, _promised: Square())
    wanted = np.sqrt(np.mean((x["a"] ** 2 - x["a"]) ** 2)) / x["a"].std(ddof=0)
    assert found.free == found.monotone == pytest.approx(wanted)
    # Of 101 rows those at which a + 0.1 s is nearer to 0 than a.
    assert found.turned == pytest.approx((x["a"] < -0.05 * x["a"].std()).mean())


def test_a_line_has_means_and_the_range_of_the_ratio() -> None:
    """Of two splits: the ratio is the geometric mean."""
    some = [Outcome(0.5, 0.5, 0.2, 0), Outcome(0.4, 0.8, 0.4, 0)]
    case = Case("one", {"a": "up", "b": "down"}, lambda _: pytest.fail("no rows are needed"))
    assert case_line(case, some, some) == [
        "one",
        "a up, b down",
        *("0.450", "0.650", "1.414 (1.00 to 2.00)"),
        "30 % → 0 %",
        *("0.450", "0.650", "1.414 (1.00 to 2.00)"),
    ]
