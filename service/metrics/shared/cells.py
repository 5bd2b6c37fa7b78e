"""Numbers by path in one file, which one process writes and another may read at any time, also after a kill."""

import json
import threading
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

Place = tuple[str | int | bool, ...]


def key(*path: str | int | bool) -> str:
    """The path of a number as the text under which it is written."""
    return json.dumps(path)


class Cells:
    """The writer of one file. Any thread may use it.

    Args:
        file: Is created.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writing = threading.Lock()
        self._numbers: MmapedDict | None = MmapedDict(str(file))  # type: ignore[no-untyped-call]

    def write(self, name: str, number: float) -> None:
        """Set a number.

        Args:
            name: Its path, by :func:`key`. Callers that write often make it once.
            number: Its new value.
        """
        with self._writing:
            if self._numbers is not None:
                self._numbers.write_value(name, number, 0.0)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Write nothing more. The file stays."""
        with self._writing:
            if self._numbers is not None:
                self._numbers.close()  # type: ignore[no-untyped-call]
                self._numbers = None

    def remove(self) -> None:
        """Write nothing more, and remove the file."""
        self.close()
        self._file.unlink(missing_ok=True)


def read(file: Path) -> dict[Place, float]:
    """All numbers in a file, in the order in which they were first written; none if the file is not there yet."""
    try:
        if not file.stat().st_size:  # killed before the first write
            return {}
        numbers = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        return {}
    return {tuple(json.loads(name)): number for name, number, _, _ in numbers}
