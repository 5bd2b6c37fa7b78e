"""The page shows every loss as plainly as every win, and names what did not end well."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.tables.cells import Cell
from benchmarks.tables.report.bounds import judge
from benchmarks.tables.report.findings import Findings, collect
from benchmarks.tables.report.page import page
from benchmarks.tables.splits import Split

MakeCell = Callable[..., Cell]
Gather = Callable[[Sequence[Cell]], Findings]


def _page(findings: Findings) -> dict[str, list[list[str]]]:
    """The cells of each row, by the title of the part."""
    parts = {}
    for part in page(findings, list(judge(findings)), "command").split("#### ")[1:]:
        title, *lines = part.splitlines()
        rows = [line.strip("|").split("|") for line in lines if line.startswith("|") and not line.startswith("|--")]
        parts[title] = [[cell.strip() for cell in row] for row in rows]
    return parts


def _notes(findings: Findings) -> str:
    return page(findings, [], "command").split("#### Notes")[1]


def test_each_peer_is_won_or_lost_against(make_cell: MakeCell, gather: Gather) -> None:
    """The best is bold; the rank of ours and the trivial error stand beside."""
    parts = _page(gather([make_cell("ours", 0.2), make_cell("EBM", 0.1), make_cell("LightGBM", 0.4)]))
    assert parts["Regression: RMSE / std"] == [
        ["table", "rows", "ours", "EBM", "LightGBM", "trivial", "rank of ours"],
        ["small", "250", "0.200", "**0.100** lost", "0.400 won", "1.000", "2"],
    ]
    summary = {row[0]: row[1:] for row in parts["All tables"]}
    assert summary["EBM"][1:4] == ["0", "1", "2.000 [2.000, 2.000] (1)"]
    assert summary["LightGBM"][1:4] == ["1", "0", "0.500 [0.500, 0.500] (1)"]


def test_a_tie_and_a_failure_of_ours_are_told(make_cell: MakeCell, gather: Gather) -> None:
    """Where ours failed, its error is that of the trivial answer, and it loses."""
    failed = replace(make_cell("ours", 0.2), status="failed", scores={}, why="Traceback\n  line\nValueError: no rows")
    findings = gather([failed, make_cell("EBM", 1.0), make_cell("LightGBM", 0.4)])
    [_, row] = _page(findings)["Regression: RMSE / std"]
    assert row[2:5] == ["failed", "1.000 tied", "**0.400** lost"]
    assert "ours failed: small/0: ValueError: no rows" in _notes(findings)


def test_a_fit_that_was_cut_off_is_named_instead_of_its_error(make_cell: MakeCell, gather: Gather) -> None:
    """Nobody won against the other; the notes have its cap."""
    capped = Cell("small", 0, "EBM", "capped", cap_seconds=300)
    findings = gather([make_cell("ours", 0.2), capped, make_cell("LightGBM", 0.1)])
    parts = _page(findings)
    assert parts["Regression: RMSE / std"][1][2:5] == ["0.200", "capped", "**0.100** lost"]
    assert parts["Regression: RMSE, ours / the peer's"][1] == ["small", "–", "2.000"]
    assert {row[0]: row[2:4] for row in parts["All tables"]}["EBM"] == ["0", "0"]
    assert parts["CPU seconds of a fit"][1][2:] == ["20.0", "capped", "20.0"]
    assert parts["CPU seconds of a fit"][2] == ["all fits", "", "20.0", "0.0", "20.0"]
    assert "EBM cut off at 300 CPU seconds: small/0" in _notes(findings)


def test_differences_of_a_table_have_the_interval_of_its_splits(make_cell: MakeCell, gather: Gather) -> None:
    """Ratios of 2 and 1/2 have the geometric mean 1, and samples of two splits reach both ends."""
    errors = {"ours": (0.2, 0.2), "EBM": (0.1, 0.4), "LightGBM": (0.2, 0.2)}
    findings = gather(
        [make_cell(method, error, number) for method in errors for number, error in enumerate(errors[method])]
    )
    assert _page(findings)["Regression: RMSE, ours / the peer's"] == [
        ["table", "EBM", "LightGBM"],
        ["small", "1.000 [0.500, 2.000]", "1.000"],
    ]


def test_bounds_and_times_are_listed(make_cell: MakeCell, gather: Gather) -> None:
    """Each bound with must and aim, and a word where it does not hold or was not measured; times with their ratio."""
    parts = _page(gather([make_cell("ours", 0.2), make_cell("EBM", 0.1), make_cell("LightGBM", 0.4)]))
    bounds = {row[0]: row[2:] for row in parts["Bounds"]}
    assert bounds["regression: RMSE / EBM"] == ["2.000", "2.000 to 2.000", "≤ 1.08", "MISSED", "≤ 0.98", "not reached"]
    assert bounds["regression: RMSE / LightGBM"] == ["0.500", "0.500 to 0.500", "≤ 1", "ok", "≤ 0.94", "ok"]
    nothing = ["–", "", "≤ 0.02", "not measured", "≤ 0", "not measured"]
    assert bounds["classification: (log loss - EBM's) / trivial"] == nothing
    [_, row] = parts["Microseconds an answer, one thread"]
    assert row[:5] == ["small", "5.0", "10.0", "4.0", "0.500"]


def test_notes_name_cells_that_were_measured_before(make_cell: MakeCell, gather: Gather) -> None:
    """With their days, and which they are unless all are."""
    cells = [make_cell(method, 0.2, number) for method in ("ours", "EBM", "LightGBM") for number in (0, 1)]
    cells[2], cells[3] = replace(cells[2], is_kept=True), replace(cells[3], is_kept=True, date="2026-11-29")
    cells[4] = replace(cells[4], is_kept=True)
    found = _notes(gather(cells))
    assert "EBM: all cells, measured 2026-11-27 to 2026-11-29." in found
    assert "LightGBM: small/0, measured 2026-11-27." in found
    assert "ours" not in found
    assert "answers not timed: small/1" in found


def test_unanswered_rows_are_told(make_cell: MakeCell, gather: Gather) -> None:
    """And whether the client refused the file; where all is well, the notes say so."""
    cells = [make_cell(method, 0.2) for method in ("ours", "EBM", "LightGBM")]
    assert "every row was answered" in _notes(gather(cells))
    cells[0] = replace(cells[0], unanswered_rows=3, is_file_refused=True)
    assert "small/0 (3 rows, file refused)" in _notes(gather(cells))


def test_a_table_that_is_left_out_is_named(make_cell: MakeCell, gather: Gather) -> None:
    """With what it lacks; nothing else can be shown."""
    found = page(gather([make_cell("ours", 0.2), make_cell("EBM", 0.1)]), [], "command")
    assert "left out, no cells of LightGBM: small." in found
    assert "RMSE / std" not in found


def test_peers_alone_are_not_marked(split: Split, make_cell: MakeCell) -> None:
    """Without ours nobody wins or loses, and no bound is judged."""
    findings = collect([make_cell("EBM", 0.1), make_cell("LightGBM", 0.2)], [split], ["EBM", "LightGBM"], {})
    text = page(findings, [], "command")
    assert "ours" not in text
    assert "**0.100**" in text
