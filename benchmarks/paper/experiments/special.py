"""Table 1: fifteen special functions of two variables, in the paper's shapes.

A full run of four seeds takes about an hour of processor time, by the cells measured so far.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Number, Outcome, Run
from benchmarks.paper.fits.beside import SAME_SIZE, SAME_TIME, measure_beside
from benchmarks.paper.fits.kan import KANPlan
from benchmarks.paper.fits.points import points_of
from benchmarks.paper.functions.special import SPECIALS, Special
from benchmarks.paper.medians import column, number, spread
from benchmarks.paper.outcomes import by_contender

_SEEDS = 4
_CONTENDER = "KAN of the paper's shape beside MLPs"
_BY_NAME = {special.target.name: special for special in SPECIALS}


def _plan(quick: bool) -> Sequence[Run]:
    cases = [special.target.name for special in SPECIALS]
    if quick:
        return [Run(case, _CONTENDER, 0) for case in cases[1:8:4]]
    return [Run(case, _CONTENDER, seed) for seed in range(_SEEDS) for case in cases]


def _measure(run: Run, quick: bool) -> Mapping[str, Number]:
    special = _BY_NAME[run.case]
    rows = (300, 200) if quick else (3000, 1000)
    points = points_of(special.target, run.seed, *rows)
    plan = KANPlan(special.width, (3, 5), 5, 3, 3) if quick else KANPlan(special.width)
    return measure_beside(points, {"kan": plan}, run.seed, 4 if quick else 30)


def _show(outcomes: Sequence[Outcome], _pictures: Path) -> str | None:
    found = _found(outcomes)
    if not found:
        return None
    head = [
        "function", "ranges", "shape", "KAN", "KAN / std", "MLP, equal parameters", "MLP, equal time",
        "KAN (P)", "MLP (P)", "at or below (P)", "seeds",
    ]  # fmt: skip
    rows = [head, *(_row(special, some) for special, some in found)]
    return (
        "3000 training points, 1000 that choose start, grid and network, 1000 test points. Grids of 3 to 50 intervals. "
        "The paper prints no ranges; these are ours, so its numbers are of other functions in this sense.\n\n"
        f"{render(rows)}\n{_summary(outcomes)}\n"
    )


def _row(special: Special, outcomes: Sequence[Outcome]) -> list[str]:
    kan = column(outcomes, "kan")
    relative = [error / scale for error, scale in zip(kan, column(outcomes, "scale"), strict=True)]
    return [
        special.target.name,
        ", ".join(f"{low:.3g} to {high:.3g}" for low, high in special.target.ranges),
        f"[{','.join(map(str, special.width))}]",
        spread(kan),
        f"{statistics.median(relative):.1e}",
        spread(column(outcomes, SAME_SIZE)),
        spread(column(outcomes, SAME_TIME)),
        f"{special.kan:.2e}",
        f"{special.mlp:.2e}",
        "yes" if _reaches(special, outcomes) else "no",
        str(len(outcomes)),
    ]


def _summary(outcomes: Sequence[Outcome]) -> str:
    found = _found(outcomes)
    if not found:
        return ""
    reached = sum(_reaches(special, some) for special, some in found)
    lost = [special.target.name for special, some in found if not _wins(some)]
    where = f"; an MLP of equal parameters or time is lower on {', '.join(lost)}" if lost else ""
    return (
        f"The KAN is at or below the paper's best on {reached} of {len(found)} functions (aim: 12 of 15), "
        f"and below both MLPs on {len(found) - len(lost)}{where}."
    )


def _found(outcomes: Sequence[Outcome]) -> list[tuple[Special, list[Outcome]]]:
    pairs = [(special, by_contender(outcomes, special.target.name).get(_CONTENDER, [])) for special in SPECIALS]
    return [(special, some) for special, some in pairs if some]


def _reaches(special: Special, outcomes: Sequence[Outcome]) -> bool:
    return statistics.median(column(outcomes, "kan")) <= special.kan


def _wins(outcomes: Sequence[Outcome]) -> bool:
    """Whether the KAN's median is below those of both MLPs."""
    kan, *mlps = (statistics.median(column(outcomes, name)) for name in ("kan", SAME_SIZE, SAME_TIME))
    return kan < min(mlps)


EXPERIMENT = Experiment(
    name="special",
    title="Special functions of two variables",
    claim=(
        "Table 1: KANs of at most five layers fit fifteen special functions of two variables with lower errors than "
        "MLPs."
    ),
    revision=2,
    compared=("kan", SAME_SIZE, SAME_TIME),
    conclusions=(
        Conclusion(
            "KAN / the paper's best, geometric mean",
            lambda outcome: number(outcome, "kan") / _BY_NAME[outcome.run.case].kan,
            "ratio",
        ),
        Conclusion(
            "share of functions on which the KAN is below both MLPs", lambda outcome: float(_wins([outcome])), "share"
        ),
    ),
    plan=_plan,
    measure=_measure,
    show=_show,
    summary=_summary,
)
