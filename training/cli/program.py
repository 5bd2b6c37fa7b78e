"""One run of kan-train: from the command line to the exit code."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from kan_api.completion import complete
from training.cli.output import Output
from training.cli.parser import new_parser
from training.errors import Interrupted, SystemFailed, TrainingError, is_of_the_system

# docs/exit-codes.md has the table of all programs.
_SYSTEM, _MISTAKE, _INTERRUPTED = 1, 2, 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; None takes the command line of the process.

    Returns:
        The exit code: 0; 1 for an error of the system that no change of the command mends, such as a full disk; 2 for
        a mistake in the arguments, the recipe or the data; 130 after Ctrl-C, and for `run` also after SIGTERM; 141 if
        the reader of the output ended.
    """
    parser = new_parser()
    complete(parser)
    options = parser.parse_args(arguments)
    try:
        return _run(options, Output(options.style))
    except BrokenPipeError:
        # The reader has ended, as in `kan-train list | head`. Python would report it once more at its exit.
        _discard_output()
        return 128 + signal.SIGPIPE


def _run(options: argparse.Namespace, output: Output) -> int:
    try:
        options.command(options, output)
        if sys.stdout is not None:  # closed at the start, as by >&-
            sys.stdout.flush()
    except Interrupted as error:
        return output.fail(str(error), _INTERRUPTED)
    except SystemFailed as error:
        return output.fail(str(error), _SYSTEM)
    except TrainingError as error:
        return output.fail(str(error), _MISTAKE)
    except BrokenPipeError:
        raise
    except OSError as error:
        code = _SYSTEM if is_of_the_system(error) else _MISTAKE
        _drop_broken_output()
        return output.fail(f"{error.filename or 'the system'}: {error.strerror or error}", code)
    except KeyboardInterrupt:
        return output.fail(f"stopped at once{options.after_interrupt}", _INTERRUPTED)
    return 0


def _drop_broken_output() -> None:
    """Where standard output cannot be written, let neither a later line nor Python's flush at the exit fail again."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
