"""The drawings in docs/pictures/diagrams: the two ways, and the layout of each dashboard.

Run as ``python docs/generate/drawings/diagrams.py`` to write them, with ``--check`` to see whether they are in step.
"""

import sys
from pathlib import Path

from deploy.generated import write_or_check
from docs.generate.drawings.dashboards import layout
from docs.generate.drawings.ways import request_way, training_way

_FOLDER = Path(__file__).parents[2] / "pictures" / "diagrams"


def files() -> dict[Path, str]:
    """Every file that is made, by its path."""
    return {
        _FOLDER / "training-way.svg": training_way(),
        _FOLDER / "request-way.svg": request_way(),
        _FOLDER / "dashboard-serving.svg": layout("serving"),
        _FOLDER / "dashboard-models.svg": layout("models"),
    }


if __name__ == "__main__":
    sys.exit(write_or_check(files, __doc__))
