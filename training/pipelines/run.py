"""What to train and where to put it: the argument of both ways that a recipe can go."""

from dataclasses import dataclass
from pathlib import Path

from training.pipelines.run_folder import RunFolder
from training.recipe.config import Recipe


@dataclass(frozen=True)
class Run:
    """What to train and where to put it.

    Attributes:
        recipe: The checked recipe.
        models: The model repository.
        folder: Where state and results of this run are kept.
        resume: Go on where an interrupted run stopped.
        fresh: Start anew although an interrupted run lies there.
    """

    recipe: Recipe
    models: Path
    folder: RunFolder
    resume: bool = False
    fresh: bool = False
