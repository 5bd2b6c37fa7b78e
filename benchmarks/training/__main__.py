"""Time a training step beside peers and check every bound: ``python -m benchmarks.training``.

The exit code is 1 if a bound that must hold does not.
"""

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.surroundings import surroundings
from benchmarks.common.timing import Timing
from benchmarks.common.verdict import Verdict
from benchmarks.training.memory import LARGEST, growth_mb
from benchmarks.training.steps import CASES, EFFICIENT, MLP, OURS, PYKAN, UNEVEN, Case, measure

_FULL, _QUICK = (20.0, 9), (1.0, 3)
_UNEVEN_OVER_UNIFORM, _MEMORY_SHARE = 1.5, 0.5


def main() -> None:
    """Measure every case, print the tables, check the bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute; the full run takes 3")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    command = "python -m benchmarks.training" + (" --quick" if arguments.quick else "")
    results = {case: measure(case, *(_QUICK if arguments.quick else _FULL)) for case in CASES}
    ours, plain = growth_mb("ours"), growth_mb("plain")
    verdicts = [each for case, timings in results.items() for each in _verdicts(case, timings)]
    verdicts.append(_verdict(LARGEST, "memory of a step / plain formula", ours / plain, (_MEMORY_SHARE, None), True))
    parts = [
        surroundings(f"`{command}` (one thread)", ("kan-serving", "torch", "pykan", "inkan")),
        f"Forward, backward and fused Adam, float32, µs, medians:\n\n{_times(results)}",
        f"A step of {LARGEST.name}, N={LARGEST.rows}, grows the process by {ours:.0f} MB; by the plain formula "
        f"{plain:.0f} MB.\n",
        render([["network", "what", "N", "measured", "must", "", "aim", ""], *map(_row, verdicts)]),
    ]
    print("\n".join(parts))
    if arguments.markdown is not None:
        arguments.markdown.write_text("\n".join(parts), encoding="utf-8")
    sys.exit(0 if all(each.keeps(each.must) for each in verdicts) else 1)


def _verdicts(case: Case, timings: dict[str, Timing]) -> list[Verdict]:
    ours = timings[OURS].median
    return [
        _verdict(case, "× faster than efficient-kan", timings[EFFICIENT].median / ours, case.over_efficient, False),
        _verdict(case, "time / MLP of equal parameters", ours / timings[MLP].median, case.over_mlp, True),
        _verdict(case, "× faster than pykan", timings[PYKAN].median / ours, (case.over_pykan, None), False),
        _verdict(case, "adapted / uniform grids", timings[UNEVEN].median / ours, (_UNEVEN_OVER_UNIFORM, None), True),
    ]


def _verdict(case: Case, what: str, measured: float, bounds: tuple[float, float | None], at_most: bool) -> Verdict:
    must, aim = bounds
    return Verdict(case.name, what, str(case.rows), measured, must, at_most=at_most, aim=aim)


def _times(results: dict[Case, dict[str, Timing]]) -> str:
    names = list(results[CASES[0]])
    body = [
        [f"{case.name}, N={case.rows}", *(f"{timings[name].median * 1e6:,.0f}" for name in names)]
        for case, timings in results.items()
    ]
    return render([["network", *names], *body])


def _row(verdict: Verdict) -> list[str]:
    return [verdict.network, verdict.what, verdict.rows, f"{verdict.measured:.2f}", *bounds_row(verdict)]


if __name__ == "__main__":
    main()
