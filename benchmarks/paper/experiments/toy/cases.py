"""How the five functions of fig. 3.1 are fitted, and the runs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.paper.experiment import Number, Run
from benchmarks.paper.fits.kan import KANPlan, Stage, fit_kan
from benchmarks.paper.fits.mlp import ACTIVATIONS, MLPFit, equal_seconds, fit_mlp, new_mlp
from benchmarks.paper.fits.points import Points, Target, points_of
from benchmarks.paper.functions.toy import TOYS

# KANs differ more from seed to seed: [100,1,1] ends in local minima.
KAN_SEEDS, SEEDS = 6, 4
# Layers of weights: an MLP of depth 2 has one hidden layer, as a KAN of depth 2 has one level of hidden nodes.
DEPTHS = (2, 3, 4, 5)
SAME_TIME = "MLP, equal CPU time"
_TIMED_SEEDS = 3
_WIDTHS = (5, 10, 20)
_MLP_STEPS = 60
_JUDGING_ROWS = 1000
_GRIDS = (3, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class Toy:
    """A function and its KANs.

    Attributes:
        target: The function.
        plans: By the name of the contender.
        rows: Of training.
        is_exact: Whether the shape can hold the function, so that theorem 2.1 promises an exponent of 4.
    """

    target: Target
    plans: Mapping[str, KANPlan]
    rows: int = 3000
    is_exact: bool = True


_BESSEL, _EXP, _PRODUCT, _HUNDRED, _FOUR = TOYS
CASES = (
    Toy(_BESSEL, {"KAN [1,1]": KANPlan((1, 1), _GRIDS, 20, starts=1)}),
    Toy(_EXP, {"KAN [2,1,1]": KANPlan((2, 1, 1), _GRIDS)}),
    Toy(
        _PRODUCT,
        {
            "KAN [2,2,1]": KANPlan((2, 2, 1), _GRIDS),
            "KAN [2,[0,1],1]": KANPlan((2, (0, 1), 1), _GRIDS),
        },
    ),
    # Each of its 101 edges has G + 4 parameters: a step on 50 intervals would take ten times as long.
    Toy(
        _HUNDRED,
        {"KAN [100,1,1]": KANPlan((100, 1, 1), (3, 5, 10, 20), 30, starts=1, most_parameters=2500)},
        rows=6000,
    ),
    Toy(
        _FOUR,
        {"KAN [4,4,2,1]": KANPlan((4, 4, 2, 1), (3, 5, 10, 20, 50), 40, finalists=4, margin=0.1, most_parameters=1500)},
        rows=5000,
    ),
)
_BY_NAME = {toy.target.name: toy for toy in CASES}


def plan(quick: bool) -> Sequence[Run]:
    """KANs and MLPs of each function; the quick plan has two functions."""
    some = CASES[:2] if quick else CASES
    return [
        Run(toy.target.name, contender, seed)
        for seed in range(1 if quick else KAN_SEEDS)
        for toy in some
        for contender in contenders(toy)
        if seed < _seeds(toy, contender)
    ]


def contenders(toy: Toy) -> tuple[str, ...]:
    """Their names: KANs, MLPs of each depth, and an MLP of the first KAN's processor time."""
    return (*toy.plans, *map(mlp_name, DEPTHS), SAME_TIME)


def _seeds(toy: Toy, contender: str) -> int:
    return KAN_SEEDS if contender in toy.plans else _TIMED_SEEDS if contender == SAME_TIME else SEEDS


def measure(run: Run, quick: bool) -> Mapping[str, Number]:
    """Lists over grids or widths: ``parameters``, ``rmse`` and ``validation`` in the target's unit; ``scale``.

    The MLP of equal time has one item in each list. It gets the seconds of the function's first KAN, which is fitted
    again just before it from the same seed: ``kan_seconds``. Its own are ``seconds``. They are more if its first few
    steps take longer than this KAN.
    """
    toy = _BY_NAME[run.case]
    points = points_of(toy.target, run.seed, 300 if quick else toy.rows, _JUDGING_ROWS)
    fits: Sequence[Stage | MLPFit]
    more: Mapping[str, Number] = {}
    if run.contender in toy.plans:
        fits = fit_kan(points, _kan_plan(toy, run.contender, quick), run.seed)
    elif run.contender == SAME_TIME:
        kan_seconds = fit_kan(points, _kan_plan(toy, next(iter(toy.plans)), quick), run.seed)[-1].cpu_seconds
        began = time.process_time()
        fits = [equal_seconds(points, kan_seconds, run.seed)]
        more = {"kan_seconds": kan_seconds, "seconds": time.process_time() - began}
    else:
        depth = int(run.contender.rsplit(" ", 1)[1])
        fits = [_mlp(points, depth, width, run.seed, 4 if quick else _MLP_STEPS) for width in _WIDTHS]
    return {
        "scale": points.scale,
        "parameters": [float(each.parameters) for each in fits],
        "rmse": [points.scale * each.test for each in fits],
        "validation": [points.scale * each.validation for each in fits],
        **more,
    }


def mlp_name(depth: int) -> str:
    """Name of the contender."""
    return f"MLP of depth {depth}"


def _kan_plan(toy: Toy, name: str, quick: bool) -> KANPlan:
    return KANPlan(toy.plans[name].width, (3, 5), 5, starts=2) if quick else toy.plans[name]


def _mlp(points: Points, depth: int, width: int, seed: int, steps: int) -> MLPFit:
    """The better one, by validation, of two activations."""
    hidden = (width,) * (depth - 1)
    fits = [fit_mlp(points, new_mlp(points.inputs, hidden, activation, seed), steps) for activation in ACTIVATIONS]
    return min(fits, key=lambda each: each.validation)
