"""Outcomes as JSON files, one line a run: an experiment that was stopped goes on where it stopped."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.surroundings import surroundings
from benchmarks.paper.experiment import Experiment, Number, Outcome, Run
from kan_model.network.checkpoint import write_atomically

# Committed with the repository; quick outcomes, which say nothing, are not.
MEASURED = Path(__file__).with_name("measured")
# Of seeds that the plans lack.
FRESH = MEASURED / "fresh"


@dataclass(frozen=True)
class Outcomes:
    """The file of an experiment.

    Attributes:
        path: The file; it need not exist.
        experiment: Outcomes of another revision are as if they were not there.
    """

    path: Path
    experiment: Experiment

    def load(self) -> list[Outcome]:
        """All outcomes, in the order in which they were made.

        Raises:
            ValueError: the file holds something else.
        """
        content = self._content()
        return [] if content is None else [_outcome(line) for line in content["outcomes"]]

    def where(self) -> str:
        """Machine, versions, date and command of the newest outcome, as Markdown; "" if there is none."""
        content = self._content()
        return "" if content is None else "\n".join(content["surroundings"])

    def add(self, outcome: Outcome, command: str) -> None:
        """Add an outcome, or replace the one of the same run, and write the file whole or not at all."""
        kept = [each for each in self.load() if each.run != outcome.run]
        lines = [json.dumps(_as_json(each), allow_nan=False) for each in [*kept, outcome]]
        around = surroundings(f"`{command}` (one thread)", ("kan-serving", "torch", "numpy", "scipy")).splitlines()
        head = {"experiment": self.experiment.name, "revision": self.experiment.revision, "surroundings": around}
        text = json.dumps(head, indent=1)[:-2] + ',\n "outcomes": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, text.encode())

    def _content(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            content: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            same = content["experiment"] == self.experiment.name
            is_current = content["revision"] == self.experiment.revision
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path}: not the outcomes of an experiment: {error!r}") from error
        if not same:
            raise ValueError(f"{self.path}: of {content['experiment']}; wanted {self.experiment.name}")
        return content if is_current else None


def missing(plan: Sequence[Run], outcomes: Sequence[Outcome]) -> Iterator[Run]:
    """The runs of a plan that have no outcome."""
    made = {outcome.run for outcome in outcomes}
    yield from (run for run in plan if run not in made)


def by_contender(outcomes: Sequence[Outcome], case: str) -> dict[str, list[Outcome]]:
    """The outcomes of one case, for each contender by seed, in the order of the plan."""
    found: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda each: each.run.seed):
        if outcome.run.case == case:
            found.setdefault(outcome.run.contender, []).append(outcome)
    return found


def _as_json(outcome: Outcome) -> dict[str, Any]:
    numbers = {name: _finite(value) for name, value in outcome.numbers.items()}
    return vars(outcome.run) | {"numbers": numbers, "cpu_seconds": outcome.cpu_seconds, "date": outcome.date}


def _finite(value: Number) -> Any:
    """JSON has no infinity and no NaN; they are words."""
    if isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return [_finite(each) for each in value]


def _outcome(line: Mapping[str, Any]) -> Outcome:
    numbers = {name: _number(value) for name, value in line["numbers"].items()}
    return Outcome(Run(line["case"], line["contender"], line["seed"]), numbers, line["cpu_seconds"], line["date"])


def _number(value: Any) -> Number:
    if isinstance(value, list):
        return [float(each) for each in value]
    return float(value) if value in ("inf", "-inf", "nan") else value
