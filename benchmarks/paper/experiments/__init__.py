"""The experiments by name, in the order of the page. Each module has one, `EXPERIMENT`."""

from collections.abc import Mapping

from benchmarks.paper.experiment import Experiment
from benchmarks.paper.experiments import (
    continual,
    feynman,
    language,
    noise,
    outside,
    poisson,
    recovery,
    special,
    staircase,
    toy,
    vision,
)

EXPERIMENTS: Mapping[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (staircase, toy, special, feynman, poisson, continual, recovery, noise, outside, vision, language)
}
