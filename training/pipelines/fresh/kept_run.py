"""What a finished fit leaves in the run folder, so that steps after it can be taken again: network and recipe.

``runs/<model name>/fitted.safetensors`` is the network before [prune] and [symbolic], fitted.json tells the recipe and
the table that it follows.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kan_model import KAN
from kan_model.network import checkpoint
from training.errors import RunError
from training.pipelines.fresh.kept_files import NETWORK, RECIPE, check_finished
from training.recipe.config import Recipe, parse_recipe
from training.recipe.fit_sections import FitSection


@dataclass(frozen=True)
class KeptRun:
    """A finished fit.

    Attributes:
        kan: The network before the steps after the fit.
        recipe: Its recipe, with the keys of the fit that it followed; the path of the table is absolute.
        fingerprint: sha256 of features and target.
    """

    kan: KAN
    recipe: Recipe
    fingerprint: str


def keep_run(folder: Path, kan: KAN, recipe: Recipe, fit: FitSection, fingerprint: str) -> None:
    """Keep a finished fit; it replaces the one before.

    Killed half-way it leaves no finished fit: fitted.json is removed first and written last.

    Args:
        folder: ``runs/<model name>``.
        kan: The network before the steps after the fit.
        recipe: The run's; its text is kept.
        fit: The keys of the fit that the network followed: the recipe's, or those of a search's winner.
        fingerprint: sha256 of features and target.
    """
    (folder / RECIPE).unlink(missing_ok=True)
    table = None if recipe.data.path is None else str(recipe.data.path.resolve())
    keys = fit.model_dump_json(exclude_unset=True)
    content = {"recipe": recipe.text, "fit": keys, "table": table, "fingerprint": fingerprint}
    checkpoint.save(kan, folder / NETWORK)
    checkpoint.write_atomically(folder / RECIPE, json.dumps(content).encode())


def read_run(folder: Path) -> KeptRun:
    """Read a finished fit.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    try:
        check_finished(folder)
        content = json.loads((folder / RECIPE).read_bytes())
        recipe = parse_recipe(content["recipe"], folder=Path(), name=str(folder / RECIPE))
        changes: dict[str, Any] = {"fit": FitSection.model_validate_json(content["fit"])}
        if content["table"] is not None:
            changes["data"] = recipe.data.model_copy(update={"path": Path(content["table"])})
        recipe = recipe.model_copy(update=changes)
        return KeptRun(checkpoint.load(folder / NETWORK), recipe, content["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{folder}: cannot read the run, perhaps of another kan-train ({type(error).__name__}: {error}); run its "
            "recipe again"
        ) from None
