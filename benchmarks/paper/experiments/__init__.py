"""The experiments by name. Each module has one, `EXPERIMENT`."""

from collections.abc import Mapping

from benchmarks.paper.experiment import Experiment
from benchmarks.paper.experiments import language

EXPERIMENTS: Mapping[str, Experiment] = {each.name: each for each in (language.EXPERIMENT,)}
