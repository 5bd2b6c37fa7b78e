"""Run the study, run by run. Each result is kept in a JSON file at once, so it can be stopped and gone on with."""

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.paper.initialization.experiments import Experiment
from kan_model.network.checkpoint import write_atomically
from kan_model.network.initialization import INITIALIZATIONS, Initialization
from training.fitting.fit import TrainingDiverged

SEEDS = 5
# The paper's start with other seeds: what chance alone does.
CONTROL = "paper, other seeds"


@dataclass(frozen=True)
class Result:
    """The result of one run.

    Attributes:
        experiment: Name of the experiment.
        part: The equation, or empty.
        depth: Number of layers.
        start: The initialization, or `CONTROL`.
        seed: Seed of weights, batches and the points of functions.
        error: On test rows; infinite if the fit diverged.
        cpu_seconds: Processor time.
    """

    experiment: str
    part: str
    depth: int
    start: str
    seed: int
    error: float
    cpu_seconds: float


def run_study(plan: Sequence[Experiment], path: Path, seeds: int, share: float) -> list[Result]:
    """Run what the file does not hold yet, seed after seed, so that a study that is cut short is balanced.

    Args:
        plan: The experiments.
        path: The file of results; made if it is not there.
        seeds: Number of seeds.
        share: Share of the steps of each fit.
    """
    results = read_results(path)
    done = {(each.experiment, each.part, each.depth, each.start, each.seed) for each in results}
    for experiment, start, initialization, seed in _runs(plan, seeds):
        place = (experiment.name, experiment.part, experiment.depth, start, seed)
        if place in done:
            continue
        begin = time.process_time()
        try:
            error = experiment.error(initialization, seed, share)
        except TrainingDiverged:
            error = math.inf
        results.append(Result(*place, error, time.process_time() - begin))
        write_atomically(path, json.dumps([asdict(each) for each in results], indent=0).encode())
        print(results[-1], file=sys.stderr, flush=True)
    return results


def read_results(path: Path) -> list[Result]:
    """The results so far; none if there is no file."""
    return [Result(**each) for each in json.loads(path.read_bytes())] if path.exists() else []


def _runs(plan: Sequence[Experiment], seeds: int) -> Iterator[tuple[Experiment, str, Initialization, int]]:
    for seed in range(seeds):
        for experiment in plan:
            for initialization in INITIALIZATIONS:
                yield experiment, initialization, initialization, seed
    for seed in range(seeds, 2 * seeds):
        for experiment in plan:
            yield experiment, CONTROL, "paper", seed
