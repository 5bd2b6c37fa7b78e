"""The experiments by name. Each module has one, `EXPERIMENT`."""

from collections.abc import Mapping

from benchmarks.paper.experiment import Experiment
from benchmarks.paper.experiments import feynman, special, toy

EXPERIMENTS: Mapping[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT for module in (toy, special, feynman)
from benchmarks.paper.experiments import continual, noise, outside, poisson, recovery, staircase

EXPERIMENTS: Mapping[str, Experiment] = {
    each.EXPERIMENT.name: each.EXPERIMENT for each in (poisson, continual, staircase, recovery, noise, outside)
}
from benchmarks.paper.experiments import language

EXPERIMENTS: Mapping[str, Experiment] = {each.name: each for each in (language.EXPERIMENT,)}
