"""CSV records many at a time, against Python's csv module one at a time."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from service.client.command.reading.csv_records import Records

CELLS = st.text(st.sampled_from('ab",;\n\r'), max_size=4)


def read(text: str, size: int) -> tuple[list[list[str]], dict[int, str], list[int]]:
    """All records of a text, their faults, and the line where each begins."""
    records = Records(iter(text.splitlines(keepends=True)), ",")
    found: list[list[str]] = []
    faults: dict[int, str] = {}
    starts: list[int] = []
    while (block := records.next_block(size)).records:
        faults |= {len(found) + row: why for row, why in block.faults.items()}
        starts += [block.line_of(row) for row in range(len(block.records))]
        found += block.records
    return found, faults, starts


@given(st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=6), st.integers(1, 4))
def test_what_a_writer_wrote_is_read(rows: list[list[str]], size: int) -> None:
    """Every record has its cells and the line where it begins, whatever the size of a block."""
    stream, starts = io.StringIO(newline=""), []
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        starts.append(1 + len(stream.getvalue().splitlines()))
        writer.writerow(row)
    assert read(stream.getvalue(), size) == (rows, {}, starts)


@given(st.text(st.sampled_from('ab",\n'), max_size=40), st.integers(1, 4))
def test_no_line_is_lost_whatever_the_quotes(text: str, size: int) -> None:
    """Any text is read to its end. A faulty record is one line, and the blocks' size makes no difference."""
    records, faults, starts = read(text, size)
    assert (records, faults, starts) == read(text, 1000)
    assert starts == sorted(set(starts))
    assert all(records[row] == [] for row in faults)
    for row in faults:
        assert '"' in text.split("\n")[starts[row] - 1]
        after = starts[row + 1] if row + 1 < len(starts) else len(text.split("\n"))
        assert not "".join(text.split("\n")[starts[row] : after - 1]).strip("\n")


def test_a_quote_that_does_not_end_costs_its_own_line_only() -> None:
    """The reader has taken the rest of the text for one cell; these lines are read again."""
    text = 'a,1\nb,"2\n' + "c,3\n" * 10
    records, faults, _ = read(text, 100)
    assert list(faults) == [1]
    assert records == [["a", "1"], [], *[["c", "3"]] * 10]
