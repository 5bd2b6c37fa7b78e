"""Numbers that one process writes and another reads."""

import subprocess
import sys
from pathlib import Path

from service.metrics.shared.cells import Cells, read
from tests.kit.waiting import wait_for

_WRITER = """
import sys
from pathlib import Path
from service.metrics.shared.cells import Cells, key
cells, name, number = Cells(Path(sys.argv[1])), key("calls"), 0.0
while True:
    number += 1
    cells.write(name, number, number / 2)
"""


def test_a_count_never_goes_back_while_it_is_written(tmp_path: Path) -> None:
    """Of thousands of reads, none finds a number at 0 or at a part of its bytes; nor does one after a kill."""
    written = tmp_path / "worker"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(written)])
    try:
        wait_for(lambda: ("calls",) in read(written), "the first number")
        found = [read(written) for _ in range(5000)]
    finally:
        writer.kill()
        writer.wait()
    found.append(read(written))
    for path in (("calls",), ("calls", "total")):
        numbers = [each.get(path, 0.0) for each in found]
        assert numbers == sorted(numbers)
    assert found[-1]["calls",] > found[0]["calls",]


def test_what_is_written_after_the_end_is_left_out(tmp_path: Path) -> None:
    """A thread that counts while its process ends raises nothing."""
    cells = Cells(tmp_path / "worker")
    cells.write('["calls"]', 1)
    cells.close()
    cells.write('["calls"]', 2)
    cells.write('["others"]', 3)
    assert read(tmp_path / "worker") == {("calls",): 1}
