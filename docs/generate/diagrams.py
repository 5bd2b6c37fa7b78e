"""The drawings in docs/diagrams: the two ways, and the layout of each dashboard.

Run as ``python docs/generate/diagrams.py`` to write them, with ``--check`` to see whether they are in step.
"""

import argparse
import sys
from pathlib import Path

from docs.generate.dashboards import layout
from docs.generate.ways import request_way, training_way

_FOLDER = Path(__file__).parents[1] / "diagrams"


def files() -> dict[Path, str]:
    """Every file that is made, by its path."""
    return {
        _FOLDER / "training-way.svg": training_way(),
        _FOLDER / "request-way.svg": request_way(),
        _FOLDER / "dashboard-serving.svg": layout("serving"),
        _FOLDER / "dashboard-models.svg": layout("models"),
    }


def main() -> int:
    """Write what is made, or say what is out of step; 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where a file is out of step")
    check: bool = parser.parse_args().check
    made = files()
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            print(f"{path} is out of step: run make deploy", file=sys.stderr)
        else:
            path.write_text(made[path])
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
