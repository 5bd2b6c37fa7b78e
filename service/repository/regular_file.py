"""Bytes of one file of a version, whose size is judged before the first of them is read."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from service.errors import ModelRefused


def read_regular_file(file: Path, check_size: Callable[[int], None], *, follow_links: bool = True) -> bytes:
    """The bytes of a regular file; nothing else is opened, as a pipe would hang and /dev/zero never end.

    Args:
        file: The file.
        check_size: Is given its size, and raises where it must not be read.
        follow_links: Whether the file may be a link; its folder may be one.

    Raises:
        ModelRefused: It is absent, cannot be read, is no regular file, or changes its size meanwhile.
    """
    # Without O_NONBLOCK a pipe that takes the file's place between the two looks would hang.
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
