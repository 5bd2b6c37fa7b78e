"""A KAN from random starts to finer and finer grids, by Levenberg–Marquardt."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.paper.fits.points import Points, scaled_rmse
from kan_model import KAN, KANConfig, parameter_count, refine_grid
from kan_model.grids.adaptation import adapt_grid
from kan_model.network.network import Level
from training.fitting.fit import TrainingDiverged, fit_module
from training.recipe.fit_sections import FitSection

# Seeds of starts: those of two runs differ.
_MOST_STARTS = 1000
# After each round a third of the starts go on, with twice the steps.
_SURVIVORS = 3
# Rows on which starts are tried: the first grid has few parameters.
_START_ROWS = 1000
# The last starts go on to this grid; the best there by validation is not always the best of the first grid.
_FINALS = 10
# On grids up to this one hidden domains move to the hidden values. On finer ones that costs more than it gains: on
# sph_harm (1, 2) the last error was 9.1e-5 where every grid was moved, and 2.4e-5 where these were.
_FINEST_MOVED = 5
# A fit ends after so many grids in a row that bring no lower validation error.
_PATIENCE = 2


@dataclass(frozen=True)
class KANPlan:
    """How a KAN is fitted.

    Attributes:
        width: Nodes per level.
        grids: Ascending numbers of intervals.
        steps: On each grid.
        starts: Random starts on the first grid.
        start_steps: Steps that each start gets in the first round of :func:`fit_kan`.
        finalists: Starts that go on from grid to grid, up to 10 intervals.
        margin: How far a hidden domain extends beyond the training values at each end, as a share of their width. Some
            test points have values beyond them, where a spline is constant. On [2,1,1] one of 1000 test points had, and
            the error was 6.9e-3; without this point it was 2e-9.
        most_parameters: Grids that give more parameters are left out.
    """

    width: tuple[Level, ...]
    grids: Sequence[int] = (3, 5, 10, 20, 50)
    steps: int = 50
    starts: int = 18
    start_steps: int = 12
    finalists: int = 2
    margin: float = 0.05
    most_parameters: int = 1200


@dataclass(frozen=True)
class Stage:
    """A KAN on one grid; errors in standard deviations of the target.

    Attributes:
        grid_size: Number of intervals.
        parameters: Number of trainable numbers.
        validation: RMSE on the validation points.
        test: RMSE on the test points.
        cpu_seconds: Processor time from the first start to the end of this stage; of the last one, that of everything.
    """

    grid_size: int
    parameters: int
    validation: float
    test: float
    cpu_seconds: float


@dataclass(frozen=True)
class Climb:
    """A KAN on its way from grid to grid, and the stages so far."""

    kan: KAN
    stages: tuple[Stage, ...]


def fit_kan(points: Points, plan: KANPlan, seed: int) -> list[Stage]:
    """One stage for each grid; each starts from the network before it.

    Deep narrow shapes have many local minima. Several random starts get a few steps each on the first grid, on some of
    the rows. The third of them that is best by validation gets twice as many more, and so on. The last ones go from
    grid to grid up to 10 intervals, and the best one goes on.

    Raises:
        TrainingDiverged: every start has a loss that is not finite.
    """
    begin = time.process_time()
    coarse = [size for size in plan.grids if size <= _FINALS]
    climbs = [_climb(Climb(kan, ()), coarse, points, plan, begin) for kan in _starts(points, plan, seed)]
    best = min(climbs, key=lambda climb: best_stage(climb.stages).validation)
    stages = _climb(best, plan.grids[len(coarse) :], points, plan, begin).stages
    return [*stages[:-1], replace(stages[-1], cpu_seconds=time.process_time() - begin)]


def best_stage(stages: Sequence[Stage]) -> Stage:
    """The one with the lowest validation error."""
    return min(stages, key=lambda stage: stage.validation)


def _is_idle(stages: Sequence[Stage]) -> bool:
    """Whether none of the last grids is the best so far."""
    return best_stage(stages) not in stages[-_PATIENCE:]


def _climb(climb: Climb, grids: Sequence[int], points: Points, plan: KANPlan, begin: float) -> Climb:
    """Through more grids, unless they give too many parameters or bring nothing."""
    kan, stages = climb.kan, list(climb.stages)
    for grid_size in grids:
        finer = _on_grid(kan, grid_size, points, plan.margin)
        count = parameter_count(finer)
        if stages and (count > plan.most_parameters or _is_idle(stages)):
            break
        kan = _fit(finer, points, plan.steps)
        validation, test = (scaled_rmse(kan, rows) for rows in (points.validation, points.test))
        stages.append(Stage(grid_size, count, validation, test, time.process_time() - begin))
    return Climb(kan, tuple(stages))


def _starts(points: Points, plan: KANPlan, seed: int) -> list[KAN]:
    config = KANConfig(plan.width, plan.grids[0])
    points = replace(points, train=points.train.take(torch.arange(min(_START_ROWS, len(points.train.x)))))
    kans = [KAN(config, seed=_MOST_STARTS * seed + start, dtype=torch.float64) for start in range(plan.starts)]
    steps = plan.start_steps
    while len(kans) > plan.finalists:
        fitted: list[tuple[float, KAN]] = []
        for kan in kans:
            try:
                kan = _fit(_on_grid(kan, plan.grids[0], points, plan.margin), points, steps)
            except (TrainingDiverged, ValueError):  # A hidden value is not finite.
                continue
            fitted.append((scaled_rmse(kan, points.validation), kan))
        if not fitted:
            raise TrainingDiverged(f"none of {len(kans)} starts has a finite loss; wanted more starts")
        fitted.sort(key=lambda found: found[0])
        kans, steps = [kan for _, kan in fitted[: max(plan.finalists, len(kans) // _SURVIVORS)]], 2 * steps
    return kans


def _on_grid(kan: KAN, grid_size: int, points: Points, margin: float) -> KAN:
    finer = refine_grid(kan, grid_size)
    if grid_size > _FINEST_MOVED:
        return finer
    return adapt_grid(finer, points.train.x, uniform_share=1.0, margin=margin, max_moved=math.inf).kan


def _fit(kan: KAN, points: Points, steps: int) -> KAN:
    plan = FitSection(optimizer="levenberg-marquardt", steps=steps)
    return fit_module(kan, points.train, points.validation, plan, "regression").best
