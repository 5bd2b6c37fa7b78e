"""Grafana's dashboards, as JSON in dashboards/, where deploy/compose.yaml mounts them from.

Run as ``python deploy/grafana/dashboards.py`` to write them, with ``--check`` to see whether they are in step.
"""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.generated import write_or_check
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


if __name__ == "__main__":
    sys.exit(write_or_check(files, __doc__))
