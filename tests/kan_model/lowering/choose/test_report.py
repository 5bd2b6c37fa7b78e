"""A report that a person reads."""

from kan_model.lowering.choose.report import LayerReport, Report, StrategyTrial

REPORT = Report(
    (
        LayerReport(
            "closed_form",
            (
                StrategyTrial("closed_form", 5.3e-7, "on knots", {1: 5.5e-6, 1024: 8.61e-5}),
                StrategyTrial("cox_de_boor", 5.2e-7, "on knots", {1: 1.5e-5, 1024: 3.782e-4}),
                StrategyTrial("truncated_powers", 2.5e-3, "inside the domain", {}),
            ),
        ),
        LayerReport("pieces", (StrategyTrial("pieces", float("inf"), "missing values: NaN on one side only", {}),)),
    ),
    1e-5,
    5.5e-7,
)


def test_a_line_for_each_candidate() -> None:
    """Layer, strategy, error, microseconds by rows, and whether it was kept or why it could not be."""
    first, second, third, fourth = str(REPORT).splitlines()
    assert words(first) == "layer 0 closed_form error 5.3e-07 1: 5.5 µs 1024: 86.1 µs kept"
    assert words(second) == "layer 0 cox_de_boor error 5.2e-07 1: 15.0 µs 1024: 378.2 µs"
    assert words(third) == "layer 0 truncated_powers error 2.5e-03 too far off (inside the domain)"
    assert "too far off (missing values: NaN on one side only)" in fourth
    assert "error inf" in fourth


def words(line: str) -> str:
    """The line with single spaces."""
    return " ".join(line.split())


def test_columns_stand_below_each_other() -> None:
    """Names are padded."""
    assert len({line.index("error") for line in str(REPORT).splitlines()}) == 1
