"""Table 2: 27 equations of Feynman's lectures, with and without nodes that multiply.

A full run of four seeds takes about two and a half hours of processor time, by the cells measured so far.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.fits.beside import SAME_SIZE, SAME_TIME, measure_beside
from benchmarks.paper.fits.kan import KANPlan
from benchmarks.paper.fits.points import points_of
from benchmarks.paper.functions.feynman import EQUATIONS, Equation
from benchmarks.paper.medians import column, spread
from benchmarks.paper.outcomes import by_contender

_SEEDS = 4
_CONTENDER = "KANs beside MLPs"
_KANS = ("formula", "plain", "products")
_BY_NAME = {equation.target.name: equation for equation in EQUATIONS}


def _plan(quick: bool) -> Sequence[Run]:
    cases = [equation.target.name for equation in EQUATIONS]
    if quick:
        return [Run(case, _CONTENDER, 0) for case in cases[::14]]
    return [Run(case, _CONTENDER, seed) for seed in range(_SEEDS) for case in cases]


def _measure(run: Run, quick: bool) -> Mapping[str, Number]:
    equation = _BY_NAME[run.case]
    rows = (300, 200) if quick else (2000, 1000)
    points = points_of(equation.target, run.seed, *rows)
    widths = (equation.width, (points.inputs, 5, 1), (points.inputs, (2, 1), (1, 1), 1))
    plans = {
        name: KANPlan(width, (3, 5), 4, 3, 2) if quick else KANPlan(width)
        for name, width in zip(_KANS, widths, strict=True)
    }
    return measure_beside(points, plans, run.seed, 3 if quick else 30)


def _show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    found = _found(outcomes)
    if not found:
        return None
    head = [
        "equation", "shape", "KAN of this shape", "[n,5,1]", "with products", "best KAN / std",
        "MLP, equal parameters", "MLP, equal time", "KAN (P)", "MLP (P)", "best KAN / KAN (P)", "seeds",
    ]  # fmt: skip
    rows = [head, *(_row(equation, some) for equation, some in found)]
    ranges = [["equation", "ranges"], *([each.target.name, _ranges(each)] for each, _ in found)]
    return (
        "2000 training points, 1000 that choose start, grid, shape and network, 1000 test points. Grids of 3 to 50 "
        "intervals. Shapes are ours, from the formula; the one with products is [n,(2,1),(1,1),1]: two levels of sums "
        'and a product. "(P)" is the lowest of the paper\'s three KANs. The MLPs are beside the best KAN by '
        "validation.\n\n"
        f"{render(rows)}\n{_summary(outcomes)}\n\nThe paper prints no ranges; these are ours:\n\n{render(ranges)}"
    )


def _row(equation: Equation, outcomes: Sequence[Outcome]) -> list[str]:
    relative = [error / scale for error, scale in zip(_best(outcomes), column(outcomes, "scale"), strict=True)]
    return [
        equation.target.name,
        f"[{','.join(map(str, equation.width))}]",
        *(spread(column(outcomes, name)) for name in _KANS),
        f"{statistics.median(relative):.1e}",
        *(spread(column(outcomes, name)) for name in (SAME_SIZE, SAME_TIME)),
        f"{equation.paper_kan:.2e}",
        f"{equation.paper[3]:.2e}",
        f"{_ratio(equation, outcomes):.2g}",
        str(len(outcomes)),
    ]


def _ranges(equation: Equation) -> str:
    return ", ".join(f"{low:.3g} to {high:.3g}" for low, high in equation.target.ranges)


def _summary(outcomes: Sequence[Outcome]) -> str:
    found = _found(outcomes)
    if not found:
        return ""
    ratios = [_ratio(equation, some) for equation, some in found]
    lost = [equation.target.name for equation, some in found if not _wins(some)]
    gained = sum(_median(some, "products") < min(_median(some, name) for name in _KANS[:2]) for _, some in found)
    where = f"; an MLP of equal parameters or time is lower on {', '.join(lost)}" if lost else ""
    return (
        f"The median of best KAN / the paper's best KAN is {statistics.median(ratios):.2g} over {len(found)} equations "
        f"(aim: at most 1). The best KAN is below both MLPs on {len(found) - len(lost)}{where}. "
        f"The KAN with products is the lowest of the three on {gained}."
    )


def _found(outcomes: Sequence[Outcome]) -> list[tuple[Equation, list[Outcome]]]:
    pairs = [(each, by_contender(outcomes, each.target.name).get(_CONTENDER, [])) for each in EQUATIONS]
    return [(equation, some) for equation, some in pairs if some]


def _best(outcomes: Sequence[Outcome]) -> list[float]:
    """The test error of the KAN that validation chose, for each outcome."""
    return [column([outcome], str(outcome.numbers["best"]))[0] for outcome in outcomes]


def _median(outcomes: Sequence[Outcome], name: str) -> float:
    return statistics.median(column(outcomes, name))


def _ratio(equation: Equation, outcomes: Sequence[Outcome]) -> float:
    return statistics.median(_best(outcomes)) / equation.paper_kan


def _wins(outcomes: Sequence[Outcome]) -> bool:
    """Whether the median of the best KAN is below those of both MLPs."""
    return statistics.median(_best(outcomes)) < min(_median(outcomes, name) for name in (SAME_SIZE, SAME_TIME))


EXPERIMENT = Experiment(
    name="feynman",
    title="Equations of Feynman's lectures",
    claim=(
        "Table 2: on 27 equations without units KANs and MLPs are comparable. KAN 2.0 (arXiv 2408.10205) adds nodes "
        "that multiply."
    ),
    revision=2,
    compared=(*_KANS, SAME_SIZE, SAME_TIME),
    conclusions=(
        Conclusion(
            "best KAN / the paper's best, geometric mean",
            lambda outcome: _ratio(_BY_NAME[outcome.run.case], [outcome]),
            "ratio",
        ),
        Conclusion(
            "share of equations on which it is below both MLPs", lambda outcome: float(_wins([outcome])), "share"
        ),
    ),
    plan=_plan,
    measure=_measure,
    show=_show,
    summary=_summary,
)
