"""A recipe of images: its way from a table to a published version."""

import dataclasses
import math
from typing import Protocol

import torch

from kan_model.vision.grids import adapt_image_grids, refine_image_grids
from kan_model.vision.image_kan import ImageKAN
from kan_model.vision.unroll import unroll
from training.data.dataset import Dataset, prepare_table
from training.data.images import augmentation, image_shape, image_transform, new_image_network
from training.data.preparation import fitted_loss, output_transform, samples
from training.data.samples import Samples
from training.data.source import load_source
from training.data.split import RowNumbers, Split
from training.errors import Interrupted
from training.fitting.fit import fit_module
from training.fitting.record import Record
from training.pipelines.interruption import Interruption, catch_interruption
from training.pipelines.release import export_graphs, judge, make_report, publish_version
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError
from training.pipelines.watcher import Watcher
from training.publishing.drift import describe_drift
from training.publishing.export import Trained
from training.publishing.manifest import build_manifest, outline, predict
from training.publishing.metrics import score_rows
from training.publishing.publish import Published, check_successor
from training.recipe.config import Recipe
from training.recipe.fit_sections import AdaptSection

_HINT = "wanted a larger [verify] tolerance, or coarser grids"
_REFIT = (
    "refit     the published network trained on the validation rows too; the training and validation metrics are those "
    "of the fit before"
)


class _OnEvaluation(Protocol):
    """As :meth:`training.pipelines.watcher.Watcher.on_evaluation`."""

    def __call__(self, record: Record, *, ended: bool) -> None: ...


def train_images(run: Run, watcher: Watcher) -> Published:
    """Train, export, verify and publish a network on images. A run that is stopped keeps no state.

    Args:
        run: What and where.
        watcher: Is told of the progress.

    Raises:
        Interrupted: SIGINT came.
        TrainingError: anything else that the person at the keyboard can mend; nothing is published then.
    """
    recipe = run.recipe
    if run.resume:
        raise RunError("--resume: not with [image], whose runs keep no state; start anew")
    source = load_source(recipe.data)
    dataset = _without_zero_weights(prepare_table(recipe, *source))
    check_successor(run.models, outline(recipe, dataset))
    with catch_interruption() as stop:
        watcher.on_prepared(dataset)
        trained, history = _fit(recipe, dataset, dataset.validation, stop, watcher.on_evaluation)
        beside: dict[str, float] = {}
        notes: tuple[str, ...] = ()
        if recipe.fit.refit_with_validation:
            beside, notes = _metrics_before_refit(dataset, trained), (_REFIT,)
            dataset = _without_zero_weights(prepare_table(recipe, *source, arrange=Split.with_validation))
            trained = _refit(recipe, dataset, stop, watcher)
        watcher.on_message("lowering: writing the graphs, timing and verifying them")
        exported = export_graphs(recipe, dataset, trained, _HINT)
        _stop_if_asked(stop)
        is_refit = recipe.fit.refit_with_validation
        manifest = build_manifest(recipe, dataset, exported, beside=beside, is_validation_trained=is_refit)
        watcher.on_message("report: drawing the network and the effects of its pixels")
        describe_drift(manifest, trained, dataset.x[dataset.train], dataset.input_columns)
        page = make_report(dataset, trained, manifest, history, notes, judge(dataset, trained))
        _stop_if_asked(stop)
        return publish_version(run, dataset, manifest, exported, page, notes)


def _fit(
    recipe: Recipe, dataset: Dataset, judging: RowNumbers, stop: Interruption, on_evaluation: _OnEvaluation
) -> tuple[Trained, list[Record]]:
    """Fit on one grid after another; each starts from the best network so far, by the loss of the judging rows."""
    inputs = image_transform(dataset, recipe.inputs.scaling, image_shape(recipe))
    outputs = output_transform(dataset)
    network = new_image_network(dataset, recipe, inputs)
    train, validation = (samples(dataset, rows, inputs, outputs, network.dtype) for rows in (dataset.train, judging))
    history: list[Record] = []
    for stage, grid_size in enumerate(recipe.fit.grids):
        network = _next_grid(network, grid_size, train, recipe.adapt)
        of_grid: list[Record] = []

        def note(record: Record, grid_size: int = grid_size, of_grid: list[Record] = of_grid) -> None:
            of_grid.append(dataclasses.replace(record, grid_size=grid_size))
            on_evaluation(of_grid[-1], ended=False)

        network = fit_module(
            network,
            train,
            validation,
            recipe.fit,
            fitted_loss(dataset, outputs),
            lambda: _stop_if_asked(stop),
            note,
            augmentation(recipe),
            stage=stage,
        ).best
        on_evaluation(of_grid[-1], ended=True)
        # The start of a finer grid is the end of the one before.
        history += of_grid[1:] if stage else of_grid
    return Trained(unroll(network), inputs, outputs, network), history


def _refit(recipe: Recipe, dataset: Dataset, stop: Interruption, watcher: Watcher) -> Trained:
    """Fit anew, with the validation rows among the training rows; the epoch of the lowest training loss is kept."""
    watcher.on_message(f"refit: {len(dataset.train)} rows train now, those of validation too")
    done, last = 0, math.nan

    def note(record: Record, *, ended: bool) -> None:
        nonlocal done, last
        if ended:
            done += recipe.fit.steps
        else:
            last = record.train_loss
            watcher.on_unjudged_step(done + record.step, last)

    trained, _ = _fit(recipe, dataset, dataset.train, stop, note)
    watcher.on_message(f"refit: loss {last:.3g} after {done} steps")
    return trained


def _metrics_before_refit(dataset: Dataset, trained: Trained) -> dict[str, float]:
    """Those on training and validation rows of a network that the validation rows did not train."""
    found: dict[str, float] = {}
    for part, rows in (("train", dataset.train), ("validation", dataset.validation)):
        scores = score_rows(dataset, rows, predict(trained, dataset.x[rows]))
        found |= {f"{part}_{name}": value for name, value in scores.items()}
    return found


def _next_grid(network: ImageKAN, grid_size: int, train: Samples, adapt: AdaptSection | None) -> ImageKAN:
    finer = refine_image_grids(network, grid_size)
    if adapt is None:
        return finer
    with torch.no_grad():
        return adapt_image_grids(finer, train.x, uniform_share=adapt.uniform_share, margin=adapt.margin)


def _without_zero_weights(dataset: Dataset) -> Dataset:
    """Pixels of one value share their weights with all others, so they have no weight zero as columns of a table."""
    told = tuple(text.replace(" and get weight zero", "") for text in dataset.warnings)
    return dataclasses.replace(dataset, warnings=told)


def _stop_if_asked(stop: Interruption) -> None:
    if stop.requested:
        raise Interrupted("stopped; a run on images keeps no state: the same command starts it anew")
