"""Standard input, output and error, which may be closed, full or unread when a server starts."""

import errno
import logging
import os
import sys

_log = logging.getLogger(__name__)


def open_closed() -> None:
    """Open /dev/null in the place of each closed stream, before another file takes its descriptor.

    Otherwise a socket could get the descriptor 0, 1 or 2. libuv ends the process with an assertion when it closes such
    a socket, and a library that writes to standard output would write into a connection.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
            os.set_inheritable(descriptor, True)


def announce(line: str) -> None:
    """Write one line to standard output, for scripts. An error is logged, and the server goes on."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        _log.warning("standard output takes nothing (%s): %s", error, line)
        # The rest in its buffer would fail again at the end of the process.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
