"""The lines that a command prints at its end."""

from pathlib import Path

from kan_api.v1.manifest_pb2 import Formula, Intervals, ModelManifest, Network, Pair, QuantilePair
from training.publishing.publish import Published
from training.report.formula_section import formula_section
from training.report.summary import facts, of_run, shown_formula


def shown(formula: str) -> list[str]:
    """The lines on the formula."""
    manifest = ModelManifest(name="m", formula=formula, network=Network(width=[2, 1]))
    text = of_run(Published(Path("models/m/1"), manifest), Path("held_out.csv"))
    return [line.strip() for line in text.splitlines() if line.startswith("  formula")]


def test_a_short_formula_is_shown() -> None:
    """One line an output; none where there is none."""
    assert shown("y = a + b") == ["formula   y = a + b"]
    assert shown("") == []


def test_of_a_long_one_it_says_where_it_is() -> None:
    """For a formula that is too long the summary names the file that has it."""
    long = "y = " + " + ".join(["sin(a)"] * 100)
    (line,) = shown(long)
    assert line.endswith("see models/m/1/report.html and formula.txt")
    assert [line.split(";")[0] for line in shown(f"x = a\n{long}")] == [
        "formula   x = a",
        "formula   1 more: too long to be shown here",
    ]


def test_a_formula_better_than_its_network_is_not_judged_by_it() -> None:
    """A negative R² against a network that is far worse reads as a failure: summary and report do not let it."""

    def told(rmse: float) -> tuple[str, str]:
        details = Formula(
            text=["a"],
            r2_to_network=[-11.4145],
            formula_metrics={"test_rmse": rmse, "test_r2": 0.9},
            network_metrics={"test_rmse": 17.06, "test_r2": 0.1},
            served=True,
        )
        manifest = ModelManifest(name="m", formula="y = a", formula_details=details, network=Network(width=[1, 1]))
        (line,) = [
            line.strip()
            for line in of_run(Published(Path("models/m/1"), manifest), Path("held_out.csv")).splitlines()
            if "test rows" in line
        ]
        return line, formula_section(manifest, "")

    line, page = told(5.212)
    assert line == "formula   served: RMSE 5.212 on the test rows, the network 17.06"
    assert "-11.4145. The formula is nearer to the rows than the network" in page
    line, page = told(52.12)
    assert line == "formula   served: RMSE 52.12 on the test rows, the network 17.06; R² -11.4145 against the network"
    assert "nearer to the rows" not in page


def test_the_formula_has_a_heading_of_its_own() -> None:
    """In the report it follows pictures of effects, and is no part of them; without a formula there is no heading."""
    page = formula_section(ModelManifest(formula="y = a"), "")
    assert page.startswith("<h2>The formula</h2>\n<pre>y = a</pre>")
    assert formula_section(ModelManifest(), "") == ""


def formula_of(characters: int) -> str:
    """A line of so many characters."""
    return "y = " + "a" * (characters - 4)


def test_500_characters_are_shown_and_501_are_not(tmp_path: Path) -> None:
    """The same edge for a run and for `kan-train formula`, which writes its long formulas into a file of their own."""
    file = tmp_path / "formula-again.txt"
    assert shown(formula_of(500)) == [f"formula   {formula_of(500)}"]
    assert shown_formula(formula_of(500), file) == ([formula_of(500)], None)
    assert not file.exists()
    assert "too long to be shown here" in shown(formula_of(501))[0]
    lines, written = shown_formula(formula_of(501), file)
    assert written == file
    assert lines == [f"the formula is longer than 500 characters: see {file}"]
    assert file.read_text() == formula_of(501) + "\n"


def test_a_file_that_cannot_be_written_costs_no_formula(tmp_path: Path) -> None:
    """The long formula is shown after all, and the first line says why."""
    file = tmp_path / "gone" / "formula-again.txt"
    lines, written = shown_formula(formula_of(501), file)
    assert written is None
    assert lines == [f"{file}: cannot write the formula here: No such file or directory", formula_of(501)]


def test_the_facts_name_the_pairs_of_an_additive_model() -> None:
    """Those of the manifest, in its order; none of other models."""
    pairs = [Pair(first="age", second="town"), Pair(first="age", second="height")]
    for given in (pairs, []):
        told = facts(Published(Path("models/m/1"), ModelManifest(name="m", pairs=given)))
        assert told["pairs"] == [[pair.first, pair.second] for pair in given]


def test_trees_of_two_quantiles_are_told_below_the_intervals() -> None:
    """With both widths at equal coverage; without such trees there is no line."""
    told = Intervals(coverage=0.9, judged_by="test", judged_rows=40, judged_coverage=[0.925], judged_width=[3.5])
    manifest = ModelManifest(name="m", intervals=told, network=Network(width=[2, 1]))
    text = of_run(Published(Path("models/m/1"), manifest), Path("held_out.csv"))
    assert "  intervals 90 % asked for, 92.5 % of 40 test rows between lower and upper, 3.5 apart on average\n" in text
    assert "  beside" not in text
    pair = QuantilePair(judged_coverage=[0.75], judged_width=[2.5], equal_width=[4.5], intervals_equal_width=[3.25])
    manifest.intervals.quantile_pair.CopyFrom(pair)
    text = of_run(Published(Path("models/m/1"), manifest), Path("held_out.csv"))
    assert (
        "  beside    boosted trees of two quantiles: 75.0 % of the same rows, 2.5 apart; at equal coverage "
        "4.5 apart, the intervals 3.25\n"
    ) in text
