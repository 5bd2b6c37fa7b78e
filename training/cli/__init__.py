"""The command kan-train: `program` parses and runs, `parser` has the command line, `commands` what each command does.

`output` tells the result: lines for people, one JSON object a line for programs (`--json`), or nothing (`--quiet`).
"""

from training.cli.parser import new_parser
from training.cli.program import main

__all__ = ["main", "new_parser"]
