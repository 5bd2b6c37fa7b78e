"""The files that a finished fit leaves in the run folder, known without torch: a wrong folder is told at once."""

from pathlib import Path

from training.errors import RunError

NETWORK, RECIPE = "fitted.safetensors", "fitted.json"


def check_finished(folder: Path) -> None:
    """Refuse a folder without a finished fit; nothing is read.

    Args:
        folder: ``runs/<model name>``.

    Raises:
        RunError: a file of the fit is absent.
        OSError: the folder cannot be looked into.
    """
    if not all((folder / name).is_file() for name in (RECIPE, NETWORK)):
        raise RunError(
            f"{folder}: no finished fit is kept here; wanted a folder runs/NAME that `kan-train run` of a table wrote"
        )
