"""Read one file of a version, and check its size before the first byte is read."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from service.errors import ModelRefused


def read_regular_file(file: Path, check_size: Callable[[int], None], *, follow_links: bool = True) -> bytes:
    """The content of a regular file. Other kinds are not opened: a pipe would hang, and /dev/zero would never end.

    Args:
        file: The file.
        check_size: Gets the size, and raises if the file must not be read.
        follow_links: Whether the file may be a link. Its folder may always be one.

    Raises:
        ModelRefused: It is absent, cannot be read, is not a regular file, or changes its size during the read.
    """
    # Without O_NONBLOCK, opening would hang if a pipe replaced the file between stat and open.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    try:
        check_size(_size_bytes(file, file.stat(follow_symlinks=follow_links)))
        with open(os.open(file, flags), "rb") as opened:
            size_bytes = _size_bytes(file, os.fstat(opened.fileno()))
            check_size(size_bytes)
            content = opened.read(size_bytes + 1)
    except FileNotFoundError as error:
        raise ModelRefused("missing", f"{file.name} is absent") from error
    except OSError as error:
        raise ModelRefused("missing", f"{file.name} cannot be read: {error.strerror or error}") from error
    if len(content) != size_bytes:
        change = "less" if len(content) < size_bytes else "more"
        raise ModelRefused("checksum", f"{file.name} had {size_bytes} bytes and then {change}: it is being written")
    return content


def _size_bytes(file: Path, found: os.stat_result) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise ModelRefused("missing", f"{file.name} is no file: it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'else')}")
    return found.st_size


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link",
}
