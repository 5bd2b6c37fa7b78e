"""Table and pictures of the toy functions."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Outcome
from benchmarks.paper.experiments.toy.cases import CASES, SAME_TIME, Toy, contenders
from benchmarks.paper.experiments.toy.curves import Curve, curve_of, lost_to
from benchmarks.paper.experiments.toy.picture import write_picture
from benchmarks.paper.fits.exponent import power_law
from benchmarks.paper.medians import spread
from benchmarks.paper.outcomes import by_contender


def show(outcomes: Sequence[Outcome], pictures: Path) -> str | None:
    """A line for each KAN and each MLP, and a picture for each function; None if none has a KAN."""
    found = _found(outcomes)
    if not found:
        return None
    rows = [
        ["function", "contender", "test RMSE", "RMSE / std(y)", "exponent", "parameters of the fit", "better points",
         "CPU s"],
    ]  # fmt: skip
    links = []
    for toy, curves in found:
        mlps = _mlps(toy, curves)
        lost = lost_to([curves[name] for name in toy.plans if name in curves], mlps)
        rows += [_row(toy, name, curve, lost.get(name)) for name, curve in curves.items()]
        path = pictures / f"toy-{_file_name(toy)}.svg"
        write_picture(path, toy.target.name, {name: curves[name] for name in toy.plans if name in curves}, mlps)
        links.append(f"![{toy.target.name}](pictures/paper/{path.name})")
    return (
        "3000 training points (6000 for 100 inputs, 5000 for four), 1000 that choose, 1000 test points. The error is "
        "that of the grid or width with the lowest validation error. The exponent is fitted to the medians over the "
        "seeds, from the first error below a tenth of the standard deviation to the last grid that lowers the error "
        "faster than 1/N. N is (G + 4) for each edge, so on coarse grids it grows slower than G and the exponent may "
        "pass 4. KANs, and MLPs of at most 700 parameters, are trained by Levenberg–Marquardt. Larger MLPs are trained "
        "by 240 iterations of LBFGS, which has not converged then: their curves rise at the end. A better point of an "
        "MLP is one (of three widths) that no KAN of at most its parameters is below. CPU s are those of all grids of "
        "a KAN, or three widths with two activations each. *MLP, equal CPU time* gets those of the function's first "
        "KAN, which is fitted again just before it: half of them goes to six MLPs of two or three hidden layers (at "
        "most 700 parameters with two inputs), the rest to the best of them by validation. Each of the six gets at "
        "least ten steps, which on J0(20x) take longer than the KAN.\n\n"
        f"{render(rows)}\n" + "\n\n".join(links) + f"\n\n{summary(outcomes)}\n"
    )


def summary(outcomes: Sequence[Outcome]) -> str:
    """Exponents, and the functions on which some MLP has a better point."""
    found = _found(outcomes)
    if not found:
        return ""
    exponents: list[str] = []
    judged: list[str] = []
    lost: list[str] = []
    for toy, curves in found:
        kans = {name: curves[name] for name in toy.plans if name in curves}
        shown = [f"{kan.exponent:.1f}" for kan in kans.values() if kan.exponent is not None]
        exponents.append(f"{' and '.join(shown) or 'none'} on {toy.target.name}")
        mlps = _mlps(toy, curves)
        judged += [toy.target.name] * bool(mlps)
        if any(lost_to(list(kans.values()), mlps).values()):
            lost.append(toy.target.name)
    told = f"Exponents before saturation (theory 4, aim 3.5): {', '.join(exponents)}."
    if not judged:
        return f"{told} No MLP is done yet."
    below = f"an MLP has a better point on {', '.join(lost)}" if lost else "no MLP has a better point"
    return (
        f"{told} At equal parameters {below}; the KAN is below every MLP on {len(judged) - len(lost)} of "
        f"{len(judged)} functions.{_at_equal_time(found)}"
    )


def _at_equal_time(found: Sequence[tuple[Toy, Mapping[str, Curve]]]) -> str:
    """On which functions the MLP of the first KAN's processor time has a lower median, as a sentence with a space."""
    pairs = [(toy, curves[next(iter(toy.plans))], curves[SAME_TIME]) for toy, curves in found if SAME_TIME in curves]
    if not pairs:
        return ""
    lost = [toy.target.name for toy, kan, mlp in pairs if median(mlp.chosen) <= median(kan.chosen)]
    if lost:
        return f" At equal CPU time an MLP is lower on {', '.join(lost)}."
    return f" At equal CPU time the KAN is lower on {len(pairs)} of {len(pairs)} functions."


def _exponent(outcome: Outcome) -> float | None:
    """Of a KAN's run, from the first resolved error to the lowest; one run's curve may bend in between."""
    curve = curve_of([outcome])
    first, last = curve.law.start, min(range(len(curve.medians)), key=curve.medians.__getitem__)
    if not _is_kan(outcome):
        return None
    ends = (first, last)
    return (
        power_law([curve.parameters[end] for end in ends], [curve.medians[end] for end in ends])
        if first < last
        else 0.0
    )


def _relative_error(outcome: Outcome) -> float | None:
    """Of a KAN's run, in standard deviations of the target."""
    curve = curve_of([outcome])
    return curve.chosen[0] / curve.scale if _is_kan(outcome) else None


def _is_kan(outcome: Outcome) -> bool:
    return any(outcome.run.contender in toy.plans for toy in CASES if toy.target.name == outcome.run.case)


CONCLUSIONS = (
    Conclusion("exponent of a KAN from the first resolved error to the lowest, mean", _exponent),
    Conclusion("test RMSE / std(y) of a KAN, geometric mean", _relative_error, "ratio"),
)


def _found(outcomes: Sequence[Outcome]) -> list[tuple[Toy, dict[str, Curve]]]:
    found = []
    for toy in CASES:
        some = by_contender(outcomes, toy.target.name)
        curves = {name: curve_of(some[name]) for name in contenders(toy) if name in some}
        if any(name in curves for name in toy.plans):
            found.append((toy, curves))
    return found


def _mlps(toy: Toy, curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Those of the picture: one depth over three widths."""
    return {name: curve for name, curve in curves.items() if name not in (*toy.plans, SAME_TIME)}


def _row(toy: Toy, name: str, curve: Curve, lost: int | None) -> list[str]:
    law = curve.parameters[curve.law]
    return [
        toy.target.name,
        name,
        spread(curve.chosen),
        spread(curve.relative),
        "–" if curve.exponent is None else f"{curve.exponent:.2f}",
        "–" if curve.exponent is None else f"{law[0]:.0f} to {law[-1]:.0f}",
        "" if lost is None else str(lost),
        curve.seconds,
    ]


def _file_name(toy: Toy) -> str:
    return "-".join(re.findall(r"[A-Za-z0-9]+", toy.target.name)).lower()
