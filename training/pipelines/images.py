"""A recipe of images: its way from a table to a published version."""

import dataclasses

import torch

from kan_model.vision.grids import adapt_image_grids, refine_image_grids
from kan_model.vision.image_kan import ImageKAN
from kan_model.vision.unroll import unroll
from training.data.dataset import Dataset, prepare_table
from training.data.images import image_shape, image_transform, new_image_network
from training.data.preparation import fitted_loss, output_transform, samples
from training.data.samples import Samples
from training.data.source import load_source
from training.errors import Interrupted
from training.fitting.fit import fit_module
from training.fitting.record import Record
from training.pipelines.interruption import Interruption, catch_interruption
from training.pipelines.release import export_graphs, judge_on_test, make_report, publish_version
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError
from training.pipelines.watcher import Watcher
from training.publishing.drift import describe_drift
from training.publishing.export import Trained
from training.publishing.manifest import build_manifest, outline
from training.publishing.publish import Published, check_successor
from training.threads import torch_threads

_HINT = "wanted a larger [verify] tolerance, or coarser grids"


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
    dataset = _without_zero_weights(prepare_table(recipe, *load_source(recipe.data)))
    check_successor(run.models, outline(recipe, dataset))
    with catch_interruption() as stop:
        watcher.on_prepared(dataset)
        trained, history = _fit(run, dataset, stop, watcher)
        exported = export_graphs(recipe, dataset, trained, _HINT)
        _stop_if_asked(stop)
        manifest = build_manifest(recipe, dataset, exported)
        describe_drift(manifest, trained, dataset.x[dataset.train])
        page = make_report(dataset, trained, manifest, history, (), judge_on_test(dataset, trained))
        _stop_if_asked(stop)
        return publish_version(run, dataset, manifest, exported, page, ())


def _fit(run: Run, dataset: Dataset, stop: Interruption, watcher: Watcher) -> tuple[Trained, list[Record]]:
    """Fit on one grid after another; each starts from the best network so far."""
    recipe = run.recipe
    inputs = image_transform(dataset, recipe.inputs.scaling, image_shape(recipe))
    outputs = output_transform(dataset)
    network = new_image_network(dataset, recipe, inputs)
    train, validation = (
        samples(dataset, rows, inputs, outputs, network.dtype) for rows in (dataset.train, dataset.validation)
    )
    history: list[Record] = []
    for grid_size in recipe.fit.grids:
        watcher.on_message(f"images: grid {grid_size}, {recipe.fit.steps} steps")
        network = _next_grid(network, grid_size, train, run)
        # Torch's threads cost more than they save in layers of so few channels.
        with torch_threads(1):
            fitted = fit_module(
                network, train, validation, recipe.fit, fitted_loss(dataset, outputs), lambda: _stop_if_asked(stop)
            )
        network = fitted.best
        history += [dataclasses.replace(record, grid_size=grid_size) for record in fitted.history]
    return Trained(unroll(network), inputs, outputs, network), history


def _next_grid(network: ImageKAN, grid_size: int, train: Samples, run: Run) -> ImageKAN:
    finer = refine_image_grids(network, grid_size)
    if (adapt := run.recipe.adapt) is None:
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
