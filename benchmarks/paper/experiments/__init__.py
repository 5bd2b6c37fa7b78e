"""The experiments by name. Each module has one, `EXPERIMENT`."""

from collections.abc import Mapping

from benchmarks.paper.experiment import Experiment

EXPERIMENTS: Mapping[str, Experiment] = {}
