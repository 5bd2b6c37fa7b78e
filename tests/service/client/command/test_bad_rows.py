"""What is said about bad rows."""

from service.client.command.bad_rows import BadRows


def test_a_clean_file_says_nothing() -> None:
    """No line, and no bad row."""
    told: list[str] = []
    bad_rows = BadRows("t", told.append)
    bad_rows.add(5, {}, {})
    assert not bad_rows.finish()
    assert told == []


def test_ten_rows_are_named_and_the_others_counted() -> None:
    """However many blocks there are. Rows are named in their order."""
    told: list[str] = []
    bad_rows = BadRows("t", told.append)
    bad_rows.add(8, {3: "row 4", 1: "row 2"}, {2: "row 3"})
    for block in range(1000):
        bad_rows.add(8, {row: f"row {8 * block + row}, bad" for row in range(8)}, {})
    assert bad_rows.finish()
    assert told[:3] == ["row 2", "row 3", "row 4"]
    assert len(told) == 12
    assert told[-2:] == [
        "t: 8002 of 8008 rows have no answer; the first 10 bad rows are named above",
        "t: 1 of 8008 rows has no true value that is a number",
    ]


def test_advice_that_repeats_is_told_once() -> None:
    """Each row keeps its place and its cell. What a cell holds is no advice."""
    told: list[str] = []
    bad_rows = BadRows("t", told.append)
    advice = ' (a point; of a file "," is read)'
    rows = [f'row {n} (line {n}) holds "{n}; a (b)"' for n in range(3)]
    bad_rows.add(3, {n: row + advice for n, row in enumerate(rows)}, {})
    bad_rows.add(2, {0: "row 3 has 1 cells; use ;"}, {1: "row 4 has 2 cells; use ;"})
    assert told == [rows[0] + advice, rows[1], rows[2], "row 3 has 1 cells; use ;", "row 4 has 2 cells"]


def test_a_table_that_begins_anew_names_no_row_twice() -> None:
    """The counts begin again."""
    told: list[str] = []
    bad_rows = BadRows("t", told.append)
    bad_rows.add(2, {0: "row 1"}, {})
    bad_rows.begin()
    bad_rows.add(2, {0: "row 1", 1: "row 2"}, {})
    assert bad_rows.finish()
    assert told == ["row 1", "row 2", "t: 2 of 2 rows have no answer"]
