"""Grafana's dashboards, as JSON in dashboards/, where deploy/compose.yaml mounts them from.

Run as ``python deploy/grafana/dashboards.py`` to write them, with ``--check`` to see whether they are in step.
"""

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.models import models
from deploy.grafana.serving import serving

_FOLDER = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """Every file that is made, by its path."""
    boards = {"serving": serving(), "models": models()}
    return {
        _FOLDER / f"{name}.json": json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, board in boards.items()
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
            print(f"{path} is out of step: run {Path(__file__).name}", file=sys.stderr)
        else:
            path.write_text(made[path])
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
