"""A fitted estimator as a published version, and as a report."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_api.version_folder import version_number
from training.errors import RecipeError
from training.estimators.chosen_recipe import rename
from training.pipelines.fresh.judged_fit import JudgedFit
from training.pipelines.fresh.publication import write_publication
from training.publishing.export import files
from training.publishing.manifest import outline
from training.publishing.publish import CannotFollow, PublishError, check_successor, publish, telling_failures
from training.publishing.repository import holds_models
from training.publishing.succession.promises import BrokenPromises, find_broken
from training.publishing.succession.restoring import restoring_arguments
from training.recipe.config import Recipe
from training.report.report import NAME as REPORT
from training.steps.advice import FOR_ESTIMATORS


@dataclass(frozen=True)
class Report:
    """A report; in a notebook the value of a cell shows it.

    Attributes:
        html: The page. It loads nothing and runs nothing.
    """

    html: str

    def save(self, path: str | Path) -> None:
        """Write the page to a file, which is replaced if it exists.

        Raises:
            ValueError: the name of the file ends in neither .html nor .htm, so that no browser would open the page.
        """
        if Path(path).suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"{path}: a report is a page of HTML; wanted a name that ends in .html")
        Path(path).write_text(self.html, encoding="utf-8")

    def __repr__(self) -> str:
        size = f"{len(self.html.encode()) / 1000:,.0f} kB"
        return (
            f"a report of {size}: a notebook shows it as the value of a cell, save('report.html') writes it to a file"
        )

    def _repr_html_(self) -> str:
        # A frame of its own: the page's styles shall not touch the notebook.
        escaped = self.html.replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{escaped}" style="width: 100%; height: 40em; border: 0"></iframe>'


def publish_fit(folder: str | Path, recipe: Recipe, fit: JudgedFit) -> Path:
    """Publish the fit as the next version of a model.

    Args:
        folder: ``models/NAME``: the model's folder in the model repository; both are created where they are missing.
        recipe: The recipe that was followed.
        fit: What came of it.

    Returns:
        The folder of the version, ``models/NAME/1``.

    Raises:
        RecipeError: no model can be called NAME, or NAME is a number and there is no repository that holds models, so
            that a version's folder was probably meant.
        PublishError: the folder is a repository that holds models, or lies in a model's folder; the version cannot
            follow the newest one, or cannot be written.
        SystemFailed: the disk is full, for example.
        VerificationFailed: the graphs' answers differ too much from torch's.
    """
    folder = Path(folder)
    name = folder.resolve().name
    with telling_failures(folder):
        is_number_of_a_version = version_number(name) is not None and not holds_models(folder.resolve().parent)
    if is_number_of_a_version:
        raise RecipeError(f"{folder}: {name} is a version's number; wanted the folder of the model, models/NAME")
    named = rename(recipe, name)
    try:
        check_successor(folder.parent, outline(named, fit.dataset))
        made = write_publication(named, fit, lambda: None, FOR_ESTIMATORS)
        if broken := find_broken(folder.parent / name, made.manifest):
            # Before it is published, so that a caller who makes errors of warnings publishes nothing.
            warnings.warn(f"{folder}: {broken}; {_advise(broken, named, made.manifest)}", stacklevel=3)
        published = publish(folder.parent, made.manifest, files(made.exported, made.manifest, {REPORT: made.page}))
    except CannotFollow as refusal:
        raise PublishError(_explain_refusal(folder, refusal)) from None
    for note in published.notes:
        warnings.warn(note, stacklevel=3)
    return published.folder


def _advise(broken: BrokenPromises, recipe: Recipe, manifest: ModelManifest) -> str:
    """What keeps the promises; of a fit that learned on also what lost the ones that it was asked for."""
    learned_on = (broken.coverage and recipe.intervals is not None and not manifest.HasField("intervals")) or (
        broken.calibration is not None and recipe.calibration is not None and not manifest.HasField("calibration")
    )
    anew = " and warm_start=False, since learning on keeps neither bounds nor calibration" if learned_on else ""
    return f"if that is not meant, fit with {broken.arguments()}{anew}, and export that"


def _explain_refusal(folder: Path, refusal: CannotFollow) -> str:
    """The refusal for somebody who has an estimator in place of a recipe."""
    arguments = restoring_arguments(refusal.before, refusal.now) if refusal.is_of_inputs else ""
    remedy = f", or fit on the inputs of version {refusal.before.version}, with {arguments}" if arguments else ""
    return (
        f"{folder}: this model cannot follow the version there: {refusal.reason}; export it to a folder of its own, "
        f"{folder.parent}/NAME{remedy}"
    )


def write_report(recipe: Recipe, fit: JudgedFit) -> Report:
    """The report that would be published."""
    without_timing = recipe.model_copy(update={"lowering": recipe.lowering.model_copy(update={"tune_for": ()})})
    return Report(write_publication(without_timing, fit, lambda: None, FOR_ESTIMATORS).page.decode())
