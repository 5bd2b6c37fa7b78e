"""What every run ends with, whichever way it went: verified graphs, the report, the publication."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from kan_api.v1.manifest_pb2 import ModelManifest
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.explaining import reference_of_table
from training.fitting.record import Record
from training.pipelines.held_out import held_out_csv
from training.pipelines.run import Run
from training.publishing.export import Exported, Plan, Trained, export, files, network_bytes
from training.publishing.manifest import predict
from training.publishing.publication import forget, publish_once
from training.publishing.publish import Published
from training.publishing.verify import VerificationFailed
from training.publishing.whole_formula import formula_lines
from training.recipe.config import Recipe
from training.report.judged import Judged
from training.report.report import NAME as REPORT
from training.report.report import report
from training.steps.sklearn_baselines import add_validation_rows, fit_sklearn_baseline


def export_graphs(
    recipe: Recipe,
    dataset: Dataset,
    trained: Trained,
    hint: str,
    scale: Numbers | None = None,
    notes: Sequence[str] = (),
) -> Exported:
    """Lower the network to graphs, and verify them.

    Args:
        recipe: Gives tolerance, precision and what to tune for.
        dataset: Its training rows are what the graphs are verified on.
        trained: The network between its transforms.
        hint: What to change where the graphs are refused.
        scale: ``[outputs]``, what differences are relative to; from the training rows when left out.
        notes: What was done to the network; a refusal repeats them, since that may be mended.

    Raises:
        VerificationFailed: the graphs' answers differ too much from torch's; its cause says so without hint and notes.
    """
    plan = Plan(recipe.verify.tolerance, recipe.lowering.tune_for, recipe.lowering.precision)
    rows = dataset.x[dataset.train].astype(np.float32)
    try:
        return export(trained, plan, training_rows=rows, scale=scale, reference=reference_of_table(dataset))
    except VerificationFailed as error:
        raise VerificationFailed("\n  ".join([f"{error}; {hint}", *notes])) from error


def judge(dataset: Dataset, trained: Trained) -> Judged | None:
    """The finite answers to the test rows; without such rows to those that chose the network. None: there are none."""
    rows, which = dataset.test, "test rows"
    if not len(rows):
        rows, which = dataset.validation, "validation rows (which chose the network)"
    return judge_answers(dataset, rows, predict(trained, dataset.x[rows]), which)


def judge_answers(dataset: Dataset, rows: RowNumbers, answers: Numbers, which: str) -> Judged | None:
    """The finite ones of the answers ``[rows, outputs]`` to rows that are called ``which``; None: there are none."""
    answered = np.isfinite(answers).all(axis=1)
    if not answered.any():
        return None
    rows = rows[answered]
    weights = None if dataset.weights is None or not dataset.weights[rows].any() else dataset.weights[rows]
    constant, _ = fit_sklearn_baseline("trivial", add_validation_rows(dataset))
    return Judged(which, dataset.y[rows], answers[answered], constant(rows), dataset.x[rows], weights)


def make_report(
    dataset: Dataset,
    trained: Trained,
    manifest: ModelManifest,
    history: Sequence[Record],
    notes: Sequence[str],
    judged: Judged | None,
    latex: str = "",
    covariances: Tensor | None = None,
) -> bytes:
    """Make report.html; its curves are drawn over the training rows, its pictures of answers over the judged ones."""
    spelled = {name: cells[dataset.train] for name, cells in dataset.spelled.items()}
    rows = dataset.x[dataset.train]
    return report(
        manifest,
        trained,
        rows,
        judged=judged,
        history=history,
        notes=notes,
        latex=latex,
        spelled=spelled,
        covariances=covariances,
    )


def publish_version(
    run: Run,
    dataset: Dataset,
    manifest: ModelManifest,
    exported: Exported,
    page: bytes,
    notes: tuple[str, ...],
    after: int | None = None,
) -> Published:
    """Publish, and drop the run's state.

    A run that is stopped in between keeps its state; resumed, it does not publish a second time.

    Args:
        run: What and where.
        dataset: Its held-out rows are kept beside the network.
        manifest: Of the version.
        exported: Its graphs.
        page: Its report.
        notes: Go before the publication's own.
        after: The version that the next one must follow; any when left out.
    """
    published = publish_once(
        run.folder.path,
        run.models,
        manifest,
        files(exported, manifest, {REPORT: page}),
        network_bytes(exported.trained),
        resumed=run.resume,
        after=after,
    )
    run.folder.save_result(exported.trained.kan, held_out_csv(dataset), formula_lines(manifest))
    run.folder.drop_state()
    forget(run.folder.path)
    return replace(published, notes=(*notes, *published.notes))
