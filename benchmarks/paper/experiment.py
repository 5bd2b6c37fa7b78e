"""What an experiment is: runs that can be made one by one, and a part of the page that is made of their results."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Number = float | int | str | Sequence[float]


@dataclass(frozen=True)
class Run:
    """One thing to train, such as one network on one function from one seed.

    Attributes:
        case: The function, equation or table.
        contender: What is trained: "KAN [2,5,1]", "MLP, equal parameters".
        seed: Of the points and the start.
    """

    case: str
    contender: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a run found.

    Attributes:
        run: The run.
        numbers: By name, such as "rmse", "parameters"; a number for each grid is a list.
        cpu_seconds: Processor time of the run.
        date: Of the measurement, ISO.
    """

    run: Run
    numbers: Mapping[str, Number]
    cpu_seconds: float
    date: str


@dataclass(frozen=True)
class Conclusion:
    """One number that an experiment comes to: the mean over its cells (:mod:`benchmarks.paper.conclusions`).

    Attributes:
        name: On the page: "KAN / the paper's best, geometric mean".
        of: The number of a run; None: this run is no part of it.
        kind: "ratio": logarithms are averaged, as those of errors are, so that the mean is geometric. "share": each run
            has 0 or 1.
        cell: Which runs belong together: those of one cell and seed count as one number, their mean.
    """

    name: str
    of: Callable[[Outcome], float | None]
    kind: Literal["number", "ratio", "share"] = "number"
    cell: Callable[[Run], Hashable] = lambda run: (run.case, run.contender)


@dataclass(frozen=True)
class Experiment:
    """One claim of the paper, re-run.

    Attributes:
        name: In the command: ``python -m benchmarks.paper NAME``.
        title: Heading on the page.
        claim: What the paper says, with the place: one or two sentences.
        revision: Raised when what a run computes changes; results of another revision are not shown.
        compared: Names of the numbers in which a fresh seed is compared with the others; of a list, each of them.
        conclusions: What the experiment comes to, in which a fresh seed is compared with the others too.
        plan: All runs, for a full or a quick experiment, seed after seed, so that one that is cut short is balanced.
        measure: Makes one run; True: quickly, to see that it works.
        show: From the outcomes and a folder for pictures to Markdown, without heading and claim; None: too few runs.
        summary: From the outcomes to one sentence on where a KAN wins and where it loses; "": too few runs.
    """

    name: str
    title: str
    claim: str
    revision: int
    compared: tuple[str, ...]
    conclusions: tuple[Conclusion, ...]
    plan: Callable[[bool], Sequence[Run]]
    measure: Callable[[Run, bool], Mapping[str, Number]]
    show: Callable[[Sequence[Outcome], Path], str | None]
    summary: Callable[[Sequence[Outcome]], str]
