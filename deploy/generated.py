"""The command line of the scripts that generate files: write them, or check that the committed ones are in step."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def write_or_check(files: Callable[[], Mapping[Path, str]], description: str | None) -> int:
    """Write the files that differ from what is generated. With ``--check``, only name them.

    Args:
        files: Gives the content of every file, by its path.
        description: What ``--help`` says.

    Returns:
        The exit code: 1 if ``--check`` finds a file out of step.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is out of step")
    check: bool = parser.parse_args().check
    stale = {path: text for path, text in files().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        if check:
            print(f"{path} is out of step: run python {sys.argv[0]}", file=sys.stderr)
        else:
            path.write_text(text)
    return int(check and bool(stale))
