"""What a draft says of a target that is probably a number with text in its cells."""

from pathlib import Path

from training.draft.draft import columns_in_doubt
from training.draft.inspection import inspect


def doubts(folder: Path, targets: list[str]) -> list[str]:
    """The lines "in doubt" of a table with one column of numbers and these targets."""
    path = folder / "t.csv"
    path.write_text("a,period\n" + "".join(f"{row / 3},{target}\n" for row, target in enumerate(targets)))
    return columns_in_doubt(inspect(path, "period"))


def test_a_target_of_numbers_with_units_is_told(tmp_path: Path) -> None:
    """Nearly as many texts as rows make a class of almost every row: the person is told before a run."""
    (line,) = doubts(tmp_path, [f"{row * 0.5} s" for row in (*range(99), 0)])
    assert line == (
        'in doubt: "period": each of its 99 different texts in 100 rows is a class; for a number write the cells '
        "without units or other text"
    )


def test_texts_of_two_rows_each_are_classes_without_doubt(tmp_path: Path) -> None:
    """Many classes that repeat are a classification like any other."""
    assert doubts(tmp_path, [f"{row % 50} s" for row in range(100)]) == []
