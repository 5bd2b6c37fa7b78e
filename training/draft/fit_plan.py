"""Propose network, fit and search for a number of rows: the sections from [network] to [search]."""

import math
from dataclasses import dataclass

OUTSIDE_LINE = (
    'outside = "clamp"  # beyond its range a spline keeps its end value; w·silu(x), the rest of each edge, goes on'
)
# The share of the rows that may train: all but the test rows.
_TRAINS = 0.8
# Beyond so many rows that may train, networks are deeper, and fits get longer with the root of the number of rows.
_SMALL = 2000
# Beyond so many, networks for classes are wider.
_MANY = 10_000
# Intervals of each spline; the second for long fits of regressions.
_GRID, _FINE_GRID = 6, 12
# With fewer rows that may train a finer grid mostly overfits, and its candidate would be a third of the fit's time.
_FEWEST_FOR_FINE = 640


@dataclass(frozen=True)
class CandidatePlan:
    """One candidate: its nodes, how long it fits, on which grid, and how strongly its curves are held back."""

    hidden: tuple[int, ...]
    steps: int
    grid: int
    learning_rate: float
    weight_decay: float
    smoothness: float
    why: str


@dataclass(frozen=True)
class FitPlan:
    """Sizes of network and fit for a number of rows, inputs and outputs."""

    hidden_grid: int
    members: int
    batch_rows: int
    budget: float
    candidates: tuple[CandidatePlan, ...]


def plan_fit(rows: int, inputs: int, outputs: int) -> FitPlan:
    """Rules of thumb, measured on the choosing half of benchmarks/tables.

    How long a fit should be depends on the noise of the table more than on its size. With 150 updates the loss of
    german and breast_cancer was lower than with 500, and that of concrete and boston a fifth higher; with 2,000 that of
    concrete was an eighth lower. So the candidates differ in this, and the out-of-fold answers choose.

    In few rows, for regressions and several classes 4 members of 16 nodes were better than 8 of 8, which cost the same
    to serve; for two classes 8 of 4 were at least as good as both, at half of the cost. In many rows a second hidden
    layer was better than more nodes in one, for regressions and two classes. Of several classes it lowered the log loss
    of letter from 0.115 to 0.099 and raised that of satimage from 0.198 to 0.208, so there it is one more candidate.

    In long fits twice the intervals lowered the error of diamonds by 5 % and that of concrete by 4 %, and raised that
    of boston by 11 to 16 % and the loss of satimage. So regressions that are not small have a candidate with them, in
    place of the coarser one where rows are many.

    Args:
        rows: Rows of the table.
        inputs: Features of the network.
        outputs: 1, or the number of classes.
    """
    trains = max(1, round(rows * _TRAINS))
    batch_rows = 128 if trains <= 16_000 else 256
    updates_per_epoch = max(1, math.ceil(trains / batch_rows))
    longer = max(1.0, math.sqrt(trains / _SMALL))
    grid = max(1, min(_GRID, trains // 10))
    kinds = [
        (600, 1, 1.0, 0.0, grid, "a middle way"),
        (150, 1, 3.0, 0.01, grid, "little: for tables with much noise"),
        # 2,000 updates at half of this rate were no better on concrete and boston, and cost more.
        (1400, 2, 0.3, 0.0, grid, "much: for tables with little noise"),
    ]
    if outputs == 1 and trains >= _FEWEST_FOR_FINE:
        much = (1400, 2, 0.3, 0.0, _FINE_GRID, "much, on a finer grid: for curves with corners")
        kinds = [*(kinds if trains <= _SMALL else kinds[:2]), much]
    members, usual, deep = _shapes(trains, outputs)
    shapes = [usual] * len(kinds)
    if deep != usual:
        kinds.append((1400, 2, 0.3, 0.0, grid, "much, with two hidden layers"))
        shapes.append(deep)
    # A step changes the edges of all inputs at once, so more inputs need smaller steps.
    learning_rate = 0.01 if inputs <= 100 else 0.005 if inputs <= 300 else 0.002
    # In few rows two candidates may have the same number of epochs, the largest.
    plans: dict[tuple[tuple[int, ...], int, float, int], CandidatePlan] = {}
    for hidden, (updates, faster, weight_decay, smoothness, intervals, why) in zip(shapes, kinds, strict=True):
        epochs = max(5, min(1000, round(longer * updates / updates_per_epoch)))
        plan = CandidatePlan(hidden, epochs, intervals, faster * learning_rate, weight_decay, smoothness, why)
        plans.setdefault((hidden, epochs, weight_decay, intervals), plan)
    return FitPlan(grid, members, batch_rows, 10.0, tuple(plans.values()))


def _shapes(trains: int, outputs: int) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """The number of members, and the nodes of each one's hidden layers: the usual ones, and those of a deep one."""
    if trains <= _SMALL:
        if outputs == 2:
            return 8, (4,), (4,)
        wide = (32,) if outputs > 2 and trains > 1_000 else (16,)
        return 4, wide, wide
    if outputs <= 2:
        deep = (8, 4) if outputs == 2 and trains <= _MANY else (16, 8)
        return 4, deep, deep
    return (4, (32,), (32, 16)) if trains <= _MANY else (4, (64,), (32, 32))


def curve_lines(pairs: int) -> list[str]:
    """The sections of an additive model as TOML, with at most `pairs` terms of two columns."""
    return [
        "[network]",
        "additive = true  # the answer is a sum of curves, one for each input; cross-validation smooths them",
        *(
            [f"pairs = {pairs}  # and of at most {pairs} terms of two columns, where they are stronger than noise"]
            if pairs
            else []
        ),
        "degree = 3",
        "",
        "[fit]",
        "seed = 0",
    ]


def fit_lines(plan: FitPlan, what: str) -> list[str]:
    """The sections as TOML.

    Args:
        plan: The sizes.
        what: What the outputs are: "the output" or "the classes".
    """
    first = plan.candidates[0]
    is_fine = any(candidate.grid > plan.hidden_grid for candidate in plan.candidates)
    lines = [
        "[network]",
        f"hidden = {list(first.hidden)}  # nodes of each member between the inputs and {what}",
        "degree = 3",
        OUTSIDE_LINE,
        "",
        "[fit]",
        'optimizer = "adam"',
        f"grids = [{first.grid}]  # intervals of each spline",
        f"steps = {first.steps}  # epochs; each candidate below has its own, and its own weight_decay",
        f"batch_rows = {plan.batch_rows}",
        f"learning_rate = {first.learning_rate:g}",
        'schedule = "warm-up"  # the learning rate rises, then falls to 0',
        f"weight_decay = {first.weight_decay:g}",
        "seed = 0",
        "",
        "[adapt]  # knots where the training rows are, mixed with even ones",
        "uniform_share = 0.2",
        "",
        "[ensemble]  # the mean of several networks is published, as one network",
        f"members = {plan.members}",
        *([f"hidden_grid = {plan.hidden_grid}  # intervals of the splines of hidden nodes, on every grid"] * is_fine),
        "refit = true  # the test rows judge this fit; then all rows are fitted again, and that fit is published",
        "",
        "[search]  # the candidate with the best out-of-fold answers is published; fewer candidates cost less",
        f"budget = {plan.budget:g}  # billions of edges, about 10 seconds each: the most work of the search",
    ]
    for candidate in plan.candidates:
        lines += [
            "",
            f"[[search.candidates]]  # {candidate.why}",
            *([f"hidden = {list(candidate.hidden)}"] * (candidate.hidden != first.hidden)),
            f"steps = {candidate.steps}",
            *([f"grids = [{candidate.grid}]"] * (candidate.grid != first.grid)),
            *([f"learning_rate = {candidate.learning_rate:g}"] * (candidate.learning_rate != first.learning_rate)),
            f"weight_decay = {candidate.weight_decay:g}",
            *([f"smoothness = {candidate.smoothness:g}"] if candidate.smoothness else []),
        ]
    return lines
