"""Training further without forgetting: five Gaussian peaks, one after another (arXiv 2404.19756, Fig. 3.4).

A KAN with one edge is fitted to each peak by :func:`training.fitting.continual.fit_on`. An MLP with as many parameters
is fitted to one peak after another by the same optimizer, with ten times as many iterations. Run it with
``python -m benchmarks.paper.five_peaks``; it prints both after each phase.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kan_model import KAN, KANConfig, parameter_count
from training.data.samples import Samples
from training.fitting.baseline import mlp_like
from training.fitting.continual import fit_on
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection
from training.threads import torch_threads

PEAKS = 5
GRID_SIZE = 200
KAN_PLAN = FitSection(optimizer="lbfgs", steps=100)
# With 100 iterations the MLP does not even fit the newest peak.
MLP_PLAN = FitSection(optimizer="lbfgs", steps=1000)
_ROWS_PER_PEAK = 100
_JUDGING_ROWS_PER_PEAK = 997


@dataclass(frozen=True)
class Errors:
    """Root mean square errors of one network.

    Attributes:
        newest: Over the newest peak.
        seen: Over all peaks so far.
        all_peaks: Over all five peaks.
    """

    newest: float
    seen: float
    all_peaks: float


@dataclass(frozen=True)
class Phase:
    """The errors after one more peak.

    Attributes:
        peaks: Number of peaks so far.
        kan: Errors of the KAN.
        mlp: Errors of the MLP.
    """

    peaks: int
    kan: Errors
    mlp: Errors


@dataclass(frozen=True)
class FivePeaks:
    """The result of the experiment.

    Attributes:
        kan_parameters: Number of the KAN's parameters.
        mlp_parameters: Number of the MLP's parameters.
        phases: One for each peak.
    """

    kan_parameters: int
    mlp_parameters: int
    phases: tuple[Phase, ...]


@dataclass(frozen=True)
class TimedMLP:
    """An MLP that gets the KAN's processor time.

    Attributes:
        parameters: Number of its parameters.
        errors: After each peak.
        kan_seconds: Processor time of the KAN for each peak.
        seconds: That of the MLP.
    """

    parameters: int
    errors: tuple[Errors, ...]
    kan_seconds: tuple[float, ...]
    seconds: tuple[float, ...]


def five_peaks(dtype: torch.dtype = torch.float64, seed: int = 0, mlp_steps: int = MLP_PLAN.steps) -> FivePeaks:
    """Fit both networks to one peak after another, with 100 rows each.

    Args:
        dtype: Float type of both networks.
        seed: Seed of the MLP's initial weights; the KAN starts as the zero function.
        mlp_steps: The MLP's iterations a peak; with a tenth of them it meets some of the peaks.
    """
    kan = _flat_kan(dtype)
    mlp: nn.Module = mlp_like(kan, seed=seed)
    kan_parameters, mlp_parameters = parameter_count(kan), parameter_count(mlp)
    phases, mlp_plan = [], MLP_PLAN.model_copy(update={"steps": mlp_steps})
    for peak in range(PEAKS):
        shown = _shown(peak, dtype)
        kan = fit_on(kan, shown.x, shown.y, plan=KAN_PLAN).kan
        mlp = fit_module(mlp, shown, shown, mlp_plan, "regression").best
        phases.append(Phase(peak + 1, _errors(kan, peak + 1, dtype), _errors(mlp, peak + 1, dtype)))
    return FivePeaks(kan_parameters, mlp_parameters, tuple(phases))


def mlp_of_equal_time(seed: int = 0) -> TimedMLP:
    """Fit an MLP of the KAN's parameters to one peak after another, each for as long as the KAN takes for it.

    For each peak the KAN is fitted once more and timed; then 100 iterations of the MLP are timed and thrown away. The
    MLP's iterations are as many as fit into the KAN's seconds.

    Args:
        seed: Of the MLP's initial weights.
    """
    kan = _flat_kan(torch.float64)
    mlp: nn.Module = mlp_like(kan, seed=seed)
    shown = _shown(0)
    fit_on(kan, shown.x, shown.y, plan=KAN_PLAN)  # The first fit of a process also loads what torch needs.
    errors, kan_seconds, seconds = [], [], []
    for peak in range(PEAKS):
        shown, began = _shown(peak), time.process_time()
        kan = fit_on(kan, shown.x, shown.y, plan=KAN_PLAN).kan
        kan_seconds.append(time.process_time() - began)
        began = time.process_time()
        fit_module(mlp, shown, shown, KAN_PLAN, "regression")
        share = kan_seconds[-1] / (time.process_time() - began)
        plan = KAN_PLAN.model_copy(update={"steps": max(1, round(share * KAN_PLAN.steps))})
        began = time.process_time()
        mlp = fit_module(mlp, shown, shown, plan, "regression").best
        seconds.append(time.process_time() - began)
        errors.append(_errors(mlp, peak + 1, torch.float64))
    return TimedMLP(parameter_count(mlp), tuple(errors), tuple(kan_seconds), tuple(seconds))


def target(x: Tensor) -> Tensor:
    """Five peaks exp(-300 (x - c)²), c = -0.8, -0.4, 0, 0.4, 0.8; the result has the shape of ``x``."""
    centres = torch.linspace(-0.8, 0.8, PEAKS, dtype=torch.float64)
    return torch.exp(-300 * (x.double().unsqueeze(-1) - centres) ** 2).sum(dim=-1).to(x)


def table(outcome: FivePeaks) -> str:
    """The result as text, one line per phase."""
    lines = [
        f"RMSE of a KAN of {outcome.kan_parameters} parameters and an MLP of {outcome.mlp_parameters}, "
        "shown one peak after another",
        f"{'peaks':>5}" + f" | {'newest':>8} {'shown':>8} {'all five':>8}" * 2,
    ]
    for phase in outcome.phases:
        errors = (f" | {each.newest:8.1e} {each.seen:8.1e} {each.all_peaks:8.1e}" for each in (phase.kan, phase.mlp))
        lines.append(f"{phase.peaks:5d}" + "".join(errors))
    return "\n".join(lines)


def _flat_kan(dtype: torch.dtype) -> KAN:
    """A KAN [1, 1] that is zero everywhere and has no base branch, as in pykan's tutorial."""
    kan = KAN(KANConfig((1, 1), grid_size=GRID_SIZE, noise=0.0), dtype=dtype)
    layer = kan.layers[0]
    return KAN.of_layers([layer.changed(base_weight=torch.zeros_like(layer.base_weight.detach()))])


def _shown(peak: int, dtype: torch.dtype = torch.float64) -> Samples:
    """The rows of a peak that networks learn from."""
    rows = _region(peak, _ROWS_PER_PEAK).to(dtype)
    return Samples(rows, target(rows))


def _region(peak: int, rows: int) -> Tensor:
    """Evenly spaced rows ``[rows, 1]`` in the fifth of [-1, 1] around a peak: the middles of equal cells."""
    cells = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    return (-1 + 2 * (peak + cells) / PEAKS).unsqueeze(1)


def _errors(network: nn.Module, shown: int, dtype: torch.dtype) -> Errors:
    """Errors on rows between the training rows."""
    squares = []
    with torch.no_grad():
        for peak in range(PEAKS):
            rows = _region(peak, _JUDGING_ROWS_PER_PEAK).to(dtype)
            squares.append((network(rows) - target(rows)).double().square().mean())
    means = torch.stack(squares)
    return Errors(*(float(part.mean().sqrt()) for part in (means[shown - 1], means[:shown], means)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the errors of both after each phase."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper.five_peaks", description=__doc__)
    parser.parse_args(arguments)
    with torch_threads(1):
        print(table(five_peaks()))


if __name__ == "__main__":
    main()
