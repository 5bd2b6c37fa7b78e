"""Standard input, output and error as a server finds them: closed, full, or read by nobody any more."""

import errno
import logging
import os
import sys

_log = logging.getLogger(__name__)


def open_closed() -> None:
    """Open /dev/null in the place of each that is closed, before something else takes its descriptor.

    libuv ends the process with an assertion when it closes a socket that has the descriptor 0, 1 or 2, and a library
    that writes to standard output would write into a connection.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free: this one
            os.set_inheritable(descriptor, True)


def announce(line: str) -> None:
    """Write one line on standard output, for scripts; where it cannot be written the log says so and nothing fails."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        _log.warning("standard output takes nothing (%s): %s", error, line)
        # What is left in its buffer would fail again at the end.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
