"""Propose network, fit and search for a number of rows: the sections from [network] to [search]."""

import math
from dataclasses import dataclass

# The share of the rows that may train: all but the test rows.
_TRAINS = 0.8
# Beyond so many rows that may train, fits get longer with the root of their number.
_SMALL = 2000


@dataclass(frozen=True)
class CandidatePlan:
    """One candidate: how long it fits, and how strongly its curves are held back."""

    steps: int
    learning_rate: float
    weight_decay: float
    smoothness: float
    why: str


@dataclass(frozen=True)
class FitPlan:
    """Sizes of network and fit for a number of rows, inputs and outputs."""

    hidden: int
    grid: int
    members: int
    batch_rows: int
    budget: float
    candidates: tuple[CandidatePlan, ...]


def plan_fit(rows: int, inputs: int, outputs: int) -> FitPlan:
    """Rules of thumb, measured on the choosing half of benchmarks/tables.

    How long a fit should be depends on the noise of the table more than on its size. With 150 updates the loss of
    german and breast_cancer was lower than with 500, and that of concrete and boston a fifth higher; with 2,000 that of
    concrete was an eighth lower. So the candidates differ in this, and the out-of-fold answers choose.

    For regressions and several classes 4 members of 16 nodes were better than 8 of 8, which cost the same to serve; for
    two classes 8 of 4 were at least as good as both, at half of the cost. For several classes and many rows 4 of 32 or
    64 were better still, and trees are slow to serve there.

    Args:
        rows: Rows of the table.
        inputs: Features of the network.
        outputs: 1, or the number of classes.
    """
    trains = max(1, round(rows * _TRAINS))
    batch_rows = 128 if trains <= 16_000 else 256
    updates_per_epoch = max(1, math.ceil(trains / batch_rows))
    members, hidden = (8, 4) if outputs == 2 else (4, 16 if outputs == 1 else _nodes_for_classes(trains))
    longer = max(1.0, math.sqrt(trains / _SMALL))
    grid = max(1, min(6, trains // 10))
    kinds = [
        (600, 1, 1.0, 0.0, "a middle way"),
        (150, 1, 3.0, 0.01, "little: for tables with much noise"),
        # 2,000 updates at half of this rate were no better on concrete and boston, and cost more.
        (1400, 2, 0.3, 0.0, "much: for tables with little noise"),
    ]
    # A step changes the edges of all inputs at once, so more inputs need smaller steps.
    learning_rate = 0.01 if inputs <= 100 else 0.005 if inputs <= 300 else 0.002
    # In few rows two candidates may have the same number of epochs, the largest.
    plans: dict[tuple[int, float], CandidatePlan] = {}
    for updates, faster, weight_decay, smoothness, why in kinds:
        epochs = max(5, min(1000, round(longer * updates / updates_per_epoch)))
        plan = CandidatePlan(epochs, faster * learning_rate, weight_decay, smoothness, why)
        plans.setdefault((epochs, weight_decay), plan)
    return FitPlan(hidden, grid, members, batch_rows, 10.0, tuple(plans.values()))


def _nodes_for_classes(trains: int) -> int:
    return 16 if trains <= 1_000 else 32 if trains <= 10_000 else 64


def fit_lines(plan: FitPlan, what: str) -> list[str]:
    """The sections as TOML.

    Args:
        plan: The sizes.
        what: What the outputs are: "the output" or "the classes".
    """
    first = plan.candidates[0]
    lines = [
        "[network]",
        f"hidden = [{plan.hidden}]  # nodes of each member between the inputs and {what}",
        "degree = 3",
        'outside = "clamp"',
        "",
        "[fit]",
        'optimizer = "adam"',
        f"grids = [{plan.grid}]  # intervals of each spline",
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
        "refit = true  # the test rows judge this fit; then all rows are fitted again, and that fit is published",
        "",
        "[search]  # the candidate with the best out-of-fold answers is published; fewer candidates cost less",
        f"budget = {plan.budget:g}  # billions of edges, about 9 seconds each: the most work of the search",
    ]
    for candidate in plan.candidates:
        lines += [
            "",
            f"[[search.candidates]]  # {candidate.why}",
            f"steps = {candidate.steps}",
            *([f"learning_rate = {candidate.learning_rate:g}"] * (candidate.learning_rate != first.learning_rate)),
            f"weight_decay = {candidate.weight_decay:g}",
            *([f"smoothness = {candidate.smoothness:g}"] if candidate.smoothness else []),
        ]
    return lines
