"""The experiments by name. Each module has one, `EXPERIMENT`."""

from collections.abc import Mapping

from benchmarks.paper.experiment import Experiment
from benchmarks.paper.experiments import vision

EXPERIMENTS: Mapping[str, Experiment] = {"vision": vision.EXPERIMENT}
