"""CPU seconds of a fit until it is good: ``python -m benchmarks.training.time_to_accuracy``.

A formula: exp(sin(πx) + y²) on [-1, 1]², 1000 training points, a [2,5,1] KAN in float64, until the RMSE on 1000 test
points is 1e-4. Ours runs Levenberg–Marquardt. pykan runs as in its own example: LBFGS, a grid of 5, then refined.

Digits: scikit-learn's 1,797 scans, the split of training/recipes/digits.toml, a whole fit by Adam. Its test accuracy
has to be 97 % in the median of the seeds. The exit code is 1 if a bound that must hold does not.
"""

import argparse
import contextlib
import io
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from kan_model import KAN, KANConfig
from training.data.dataset import Dataset, prepare
from training.data.objective.loss import score
from training.data.preparation import input_transform, new_network, output_transform, samples
from training.data.samples import Samples
from training.data.split import RowNumbers
from training.fitting.evaluation import answers
from training.fitting.fit import begin, fit, fit_steps
from training.recipe.config import Recipe, load_recipe
from training.recipe.fit_sections import AdaptSection, FitSection

WIDTH, WANTED_RMSE = (2, 5, 1), 1e-4
OURS = FitSection(optimizer="levenberg-marquardt", grids=(5, 10, 20), steps=20)
ADAPT = AdaptSection(uniform_share=1.0)
PYKANS_GRIDS, PYKANS_STEPS = (5, 10, 20, 50), 50
# As digits.toml, with these changes. Fewer epochs need larger steps and more hidden nodes.
DIGITS_HIDDEN = (96,)
DIGITS: dict[str, Any] = {"steps": 15, "learning_rate": 0.01}
WANTED_ACCURACY = 0.97
_TIMES_SOONER, _DIGITS_SECONDS = 20.0, (1.0, 0.5)
_RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "digits.toml"


@dataclass(frozen=True)
class Run:
    """A fit until it was good enough, or until its end.

    Attributes:
        cpu_seconds: CPU seconds of the fit, without the tests for its end.
        reached: RMSE or accuracy on the test rows at the end.
        is_good: Whether that is good enough.
    """

    cpu_seconds: float
    reached: float
    is_good: bool


class Stopwatch:
    """CPU seconds of this process, without the pauses."""

    def __init__(self) -> None:
        self._start, self._paused = time.process_time(), 0.0

    @property
    def seconds(self) -> float:
        """CPU seconds since the start, outside of pauses."""
        return time.process_time() - self._start - self._paused

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """What is done within does not count."""
        start = time.process_time()
        try:
            yield
        finally:
            self._paused += time.process_time() - start


def points(seed: int) -> Samples:
    """1000 points and their values."""
    x = torch.rand(1000, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    return Samples(x, torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2))


def ours(seed: int) -> Run:
    """Our fit of the formula, until its RMSE on the test points is small."""
    train, validation, test = (points(3 * seed + part) for part in range(3))
    watch, error = Stopwatch(), math.inf
    kan = KAN(KANConfig(WIDTH, grid_size=OURS.grids[0]), seed=seed, dtype=torch.float64)
    for state in fit_steps(begin(kan, OURS, train, ADAPT), train, validation, OURS, "regression", adapt=ADAPT):
        with watch.pause():
            error = min(error, _rmse(answers(state.best, test.x), test.y))
        if error <= WANTED_RMSE:
            break
    return Run(watch.seconds, error, error <= WANTED_RMSE)


def pykans(seed: int) -> Run:
    """The fit of pykan, until its RMSE on the test points is small after some step."""
    import kan as pykan

    train, _, test = (points(3 * seed + part) for part in range(3))
    data = {"train_input": train.x, "train_label": train.y, "test_input": test.x, "test_label": test.y}
    best = math.inf
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with _float64(), quiet[0], quiet[1], tempfile.TemporaryDirectory() as folder:  # pykan always writes there.
        watch = Stopwatch()
        model: Any = pykan.KAN(
            width=list(WIDTH), grid=PYKANS_GRIDS[0], k=3, seed=seed, auto_save=False, ckpt_path=folder
        )

        def after_step() -> Tensor:
            nonlocal best
            with watch.pause(), torch.no_grad():
                best = min(best, _rmse(model(test.x), test.y))
            if best <= WANTED_RMSE:
                raise _Reached
            return torch.tensor(best)

        with contextlib.suppress(_Reached):
            for grid_size in PYKANS_GRIDS:
                if grid_size != PYKANS_GRIDS[0]:
                    model = model.refine(grid_size)
                model.fit(data, opt="LBFGS", steps=PYKANS_STEPS, metrics=[after_step])
    return Run(watch.seconds, best, best <= WANTED_RMSE)


def digits(seed: int) -> Run:
    """A whole fit to the digits, from other initial weights and with other batches for each seed."""
    recipe = load_recipe(_RECIPE)
    plan = recipe.fit.model_copy(update={**DIGITS, "seed": seed})
    network = recipe.network.model_copy(update={"hidden": DIGITS_HIDDEN})
    recipe = recipe.model_copy(update={"fit": plan, "network": network})
    dataset = prepare(recipe)
    train, validation, test = (_samples(dataset, recipe, getattr(dataset, part)) for part in _PARTS)
    watch = Stopwatch()
    kan = new_network(dataset, recipe, input_transform(dataset, recipe.inputs.scaling))
    found = fit(kan, train, validation, plan, "classification").best
    seconds, accuracy = watch.seconds, score("classification", answers(found, test.x), test.y)
    return Run(seconds, accuracy, accuracy >= WANTED_ACCURACY)


_PARTS = ("train", "validation", "test")


class _Reached(Exception):
    """The fit is good enough."""


@contextlib.contextmanager
def _float64() -> Iterator[None]:
    """Within the block torch makes tensors of float64, as pykan's examples do."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def _rmse(answers: Tensor, truth: Tensor) -> float:
    return float((answers - truth).square().mean().sqrt())


def _samples(dataset: Dataset, recipe: Recipe, rows: RowNumbers) -> Samples:
    transform = input_transform(dataset, recipe.inputs.scaling)
    return samples(dataset, rows, transform, output_transform(dataset), torch.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all fits for each seed, print the tables, check the bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.time_to_accuracy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default: 5)")
    parser.add_argument("--no-pykan", action="store_true", help="run only ours")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    fits = {"exp(sin(πx) + y²), ours": ours, "exp(sin(πx) + y²), pykan": pykans, "digits, ours": digits}
    runs: dict[str, list[Run]] = {name: [] for name in fits if not (options.no_pykan and name.endswith("pykan"))}
    for seed in range(options.seeds):
        for name, found in runs.items():
            found.append(fits[name](seed))
            print(f"seed {seed}, {name}: {found[-1]}", file=sys.stderr, flush=True)
    verdicts = list(_verdicts(*runs.values()) if not options.no_pykan else ())
    parts = [
        surroundings(
            f"`python -m benchmarks.training.time_to_accuracy --seeds {options.seeds}` (one thread)", _PACKAGES
        ),
        render([["fit", "CPU s", "RMSE or accuracy on test rows", "good enough"], *map(_row, runs, runs.values())]),
        render(
            [
                ["what", "measured", "must", "", "aim", ""],
                *([v.what, f"{v.measured:.4g}", *bounds_row(v)] for v in verdicts),
            ]
        ),
    ]
    print("\n".join(parts))
    if options.markdown is not None:
        options.markdown.write_text("\n".join(parts), encoding="utf-8")
    sys.exit(0 if all(verdict.keeps(verdict.must) for verdict in verdicts) else 1)


_PACKAGES = ("kan-serving", "torch", "pykan", "scikit-learn")


def _row(name: str, runs: list[Run]) -> list[str]:
    seconds, reached = sorted(run.cpu_seconds for run in runs), sorted(run.reached for run in runs)
    return [
        name,
        f"{statistics.median(seconds):.2f} ({seconds[0]:.2f} to {seconds[-1]:.2f})",
        f"{statistics.median(reached):.3g} ({reached[0]:.3g} to {reached[-1]:.3g})",
        f"{sum(run.is_good for run in runs)} of {len(runs)}",
    ]


def _verdicts(ours: list[Run], pykans: list[Run], digits: list[Run]) -> Iterator[Verdict]:
    """A fit of pykan that ended before it was good counts with the seconds until its end: it would need more."""
    seconds, theirs, whole = (statistics.median(run.cpu_seconds for run in runs) for runs in (ours, pykans, digits))
    sooner = theirs / seconds if all(run.is_good for run in ours) else math.nan
    yield Verdict("", "× sooner at 1e-4 than pykan", "", sooner, _TIMES_SOONER, at_most=False)
    accuracy = statistics.median(run.reached for run in digits)
    yield Verdict("", "digits, accuracy", "", accuracy, WANTED_ACCURACY, at_most=False)
    must, aim = _DIGITS_SECONDS
    yield Verdict("", "digits, CPU s of the fit", "", whole, must, at_most=True, aim=aim)


if __name__ == "__main__":
    main()
