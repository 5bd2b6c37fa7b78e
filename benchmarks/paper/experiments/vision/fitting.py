"""Rows of the digits, and how every contender is fitted to them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from benchmarks.paper.experiments.vision.networks import RECIPE
from training.data.dataset import prepare_table
from training.data.images import augmentation, image_shape, image_transform
from training.data.objective.loss import score
from training.data.preparation import output_transform, samples
from training.data.samples import Samples
from training.data.source import load_source
from training.data.split import Split
from training.fitting.evaluation import answers
from training.fitting.fit import fit_module

EPOCHS = RECIPE.fit.steps


@dataclass(frozen=True)
class Digits:
    """The rows as the recipe splits and scales them; ``both`` are those of training and of validation together."""

    train: Samples
    validation: Samples
    both: Samples
    test: Samples


@dataclass(frozen=True)
class Candidate:
    """A network that the validation rows may choose.

    Attributes:
        new: From a seed to a new network.
        epochs: Of the first fit, on the training rows.
        refit_epochs: Of the second fit, on all rows but those of the test.
    """

    new: Callable[[int], nn.Module]
    epochs: int = EPOCHS
    refit_epochs: int = EPOCHS


@dataclass(frozen=True)
class Fit:
    """The chosen candidate.

    Attributes:
        network: After its second fit.
        validation_accuracy: After its first fit.
        epochs: Of its second fit.
        cpu_seconds: Processor time of the first fits of all candidates and of the second fit.
    """

    network: nn.Module
    validation_accuracy: float
    epochs: int
    cpu_seconds: float


def fit_best(candidates: Sequence[Candidate], seed: int, is_quick: bool) -> Fit:
    """Fit all, and fit the one of the highest validation accuracy again: from its start, with the validation rows.

    Args:
        candidates: Of equal accuracies the first one is taken.
        seed: Of starts, batches and changes of the images.
        is_quick: One epoch, and no second fit.
    """
    rows, began = digits(), time.process_time()
    firsts = [
        fitted(each.new(seed), rows.train, rows.validation, 1 if is_quick else each.epochs, seed) for each in candidates
    ]
    judged = [accuracy(network, rows.validation) for network in firsts]
    place = judged.index(max(judged))
    best, chosen = firsts[place], candidates[place]
    if not is_quick:
        best = fitted(chosen.new(seed), rows.both, rows.both, chosen.refit_epochs, seed)
    return Fit(best, judged[place], chosen.refit_epochs, time.process_time() - began)


def fitted(network: nn.Module, train: Samples, judging: Samples, epochs: int, seed: int) -> nn.Module:
    """The network after some epochs of the recipe's fit."""
    plan = RECIPE.fit.model_copy(update={"seed": seed, "steps": epochs})
    return fit_module(network, train, judging, plan, "classification", augment=augmentation(RECIPE)).best


def accuracy(network: nn.Module, rows: Samples) -> float:
    """The share of the rows that is answered right."""
    return score("classification", answers(network, rows.x), rows.y)


@cache
def digits() -> Digits:
    """The table of the recipe."""
    source = load_source(RECIPE.data)
    apart, joined = (prepare_table(RECIPE, *source, arrange=each) for each in (None, Split.with_validation))
    inputs, outputs = image_transform(joined, RECIPE.inputs.scaling, image_shape(RECIPE)), output_transform(joined)
    train, validation, both, test = (
        samples(dataset, rows, inputs, outputs, torch.float32)
        for dataset, rows in (
            (apart, apart.train),
            (apart, apart.validation),
            (joined, joined.train),
            (apart, apart.test),
        )
    )
    return Digits(train, validation, both, test)
