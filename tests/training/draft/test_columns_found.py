"""The columns of a table whose target is not named."""

from pathlib import Path

import pandas as pd

from training.draft.columns_found import column_lines, find_columns


def test_kinds_and_values_are_those_of_the_table(tmp_path: Path) -> None:
    """Decimal commas are found, missing cells are counted and not shown, long cells are shortened for people."""
    (tmp_path / "t.csv").write_text(f"size;kind;note;none\n3,5;a;{'x' * 99};\n;b;y;NA\n3,5;a;z;\n1,5E-05;;w;\n")
    found = find_columns(tmp_path / "t.csv")
    assert (found.source, found.rows) == ("t.csv", 4)
    assert [(each.name, each.kind, each.distinct, each.missing) for each in found.columns] == [
        ("size", "numbers", 2, 1),
        ("kind", "words", 2, 1),
        ("note", "words", 4, 0),
        ("none", "empty", 0, 4),
    ]
    assert [each.values for each in found.columns] == [("3,5", "1,5E-05"), ("a", "b"), ("x" * 99, "y", "z"), ()]
    lines = column_lines(found)
    assert [line.split()[0] for line in lines] == ["t.csv:", "column", '"size"', '"kind"', '"note"', '"none"']
    assert lines[2].split()[1:] == ["numbers", "1", "3,5;", "1,5E-05"]
    assert lines[4].endswith(f'"{"x" * 23}…"; "y"; "z"; …')


def test_the_example_is_the_last_column_that_can_be_a_target(tmp_path: Path) -> None:
    """An empty column, one value alone and free text are none; a table of such columns has no example.

    Nor are names that do not fit into one line of a command.
    """
    table = pd.DataFrame({"a": [1.5, 2.5, 3.5] * 20, "same": 7, "text": [f"t{row}" for row in range(60)]})
    table.to_parquet(tmp_path / "t.parquet")
    assert find_columns(tmp_path / "t.parquet").example == "a"
    odd = table.assign(**{"line\nbreak": table["a"], "\x1b[31mred": table["a"], "--force": table["a"]})
    odd.to_parquet(tmp_path / "t.parquet")
    assert find_columns(tmp_path / "t.parquet").example == "a"
    table.drop(columns="a").to_parquet(tmp_path / "t.parquet")
    assert find_columns(tmp_path / "t.parquet").example is None


def test_a_wide_table_is_cut_for_people(tmp_path: Path) -> None:
    """50 columns, and how many more there are."""
    pd.DataFrame({f"c{place}": [1, 2] for place in range(60)}).to_csv(tmp_path / "t.csv", index=False)
    lines = column_lines(find_columns(tmp_path / "t.csv"))
    assert len(lines) == 53
    assert lines[-1] == "and 10 columns more; --json tells all"
