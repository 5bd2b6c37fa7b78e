"""The runs, and what the page shows of them."""

import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import nn

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Experiment, Number, Outcome, Run
from benchmarks.paper.experiments.vision.graphs import ROWS, compare_graphs
from benchmarks.paper.experiments.vision.networks import cnn, convolutional_kan, flat_kan
from benchmarks.paper.outcomes import by_contender
from kan_model import parameter_count
from kan_model.vision.image_kan import ImageKAN, image_parameter_count
from training.data.dataset import prepare_table
from training.data.objective.loss import score
from training.data.preparation import input_transform, output_transform, samples
from training.data.samples import Samples
from training.data.source import load_source
from training.fitting.evaluation import answers
from training.fitting.fit import fit_module
from training.recipe.config import load_recipe
from training.recipe.fit_sections import FitSection

_RECIPE = Path(__file__).parents[4] / "training" / "recipes" / "digits.toml"
_CASE, _KAN = "digits", "convolutional KAN"
_CONTENDERS = {_KAN: convolutional_kan, "flat KAN": flat_kan, "CNN": cnn}
_EPOCHS = 30


def _plan(is_quick: bool) -> Sequence[Run]:
    return [Run(_CASE, name, seed) for seed in range(1 if is_quick else 3) for name in _CONTENDERS]


def _measure(run: Run, is_quick: bool) -> Mapping[str, Number]:
    train, validation, test = _digits()
    network: nn.Module = _CONTENDERS[run.contender](run.seed)
    plan = FitSection(
        steps=1 if is_quick else _EPOCHS, learning_rate=0.005, weight_decay=1.0, batch_rows=64, seed=run.seed
    )
    best = fit_module(network, train, validation, plan, "classification").best
    numbers: dict[str, Number] = {
        "accuracy": score("classification", answers(best, test.x), test.y),
        "parameters": image_parameter_count(best) if isinstance(best, ImageKAN) else parameter_count(best),
    }
    if isinstance(best, ImageKAN) and run.seed == 0:
        numbers |= compare_graphs(best, is_quick)
    return numbers


@cache
def _digits() -> tuple[Samples, Samples, Samples]:
    """Training, validation and test rows of the recipe's split, scaled."""
    recipe = load_recipe(_RECIPE)
    dataset = prepare_table(recipe, *load_source(recipe.data))
    transforms = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    train, validation, test = (
        samples(dataset, rows, *transforms, torch.float32) for rows in (dataset.train, dataset.validation, dataset.test)
    )
    return train, validation, test


def _show(outcomes: Sequence[Outcome], _: Path) -> str | None:
    found = by_contender(outcomes, _CASE)
    if set(found) != set(_CONTENDERS):
        return None
    rows = [["test accuracy", "median", "smallest to largest", "parameters", "CPU s"]]
    for name in _CONTENDERS:
        seen = [100 * _number(one, "accuracy") for one in found[name]]
        seconds = statistics.median(one.cpu_seconds for one in found[name])
        spread = f"{min(seen):.2f} to {max(seen):.2f}"
        parameters = f"{_number(found[name][0], 'parameters'):,.0f}"
        rows.append([name, f"{statistics.median(seen):.2f} %", spread, parameters, f"{seconds:.0f}"])
    return f"{render(rows)}\n{_graphs(found[_KAN])}"


def _graphs(outcomes: Sequence[Outcome]) -> str:
    """Times of the graphs, which one run has measured."""
    timed = next((one for one in outcomes if f"ours µs, {ROWS[0]} rows" in one.numbers), None)
    if timed is None:
        return ""
    rows = [["one run in onnxruntime", "lowered", "torch.onnx's export", "ratio"]]
    for count in [each for each in ROWS if f"ours µs, {each} rows" in timed.numbers]:
        ours, theirs = (_number(timed, f"{name} µs, {count} rows") for name in ("ours", "torch"))
        rows.append([f"{count} rows", f"{ours:.0f} µs", f"{theirs:.0f} µs", f"{theirs / ours:.1f}"])
    return f"\n{render(rows)}\n"


def _summary(outcomes: Sequence[Outcome]) -> str:
    found = by_contender(outcomes, _CASE)
    if set(found) != set(_CONTENDERS):
        return ""
    medians = {name: 100 * statistics.median(_number(one, "accuracy") for one in found[name]) for name in _CONTENDERS}
    return "Test accuracy: " + ", ".join(f"{name} {value:.2f} %" for name, value in medians.items()) + "."


def _number(outcome: Outcome, name: str) -> float:
    value = outcome.numbers[name]
    assert isinstance(value, int | float)
    return value


EXPERIMENT = Experiment(
    name="vision",
    title="Vision: digits as images",
    claim=(
        "Not of the paper. Handwritten digits of scikit-learn as images of 8 × 8 pixels, in the split of the recipe "
        "digits: a convolutional KAN, a flat KAN and a CNN of as many parameters, fitted by the same loop (Adam, "
        f"{_EPOCHS} epochs, the validation rows choose the epoch). This experiment is in float32, as digits are served."
    ),
    revision=1,
    plan=_plan,
    measure=_measure,
    show=_show,
    summary=_summary,
)
