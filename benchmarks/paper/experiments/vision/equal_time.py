"""MLPs that get the processor time of the convolutional KAN."""

import time
from collections.abc import Callable
from functools import partial

from torch import nn

from benchmarks.paper.experiments.vision.fitting import EPOCHS, Candidate, digits, fitted
from benchmarks.paper.experiments.vision.networks import convolutional_kan, hidden_for, mlp

# An epoch is timed by so many.
_TIMED = 4
_LARGE = (512, 512)


def timed_candidates(seed: int) -> tuple[list[Candidate], float]:
    """MLPs of one and two hidden layers of the KAN's parameters, and one of nine times as many; and the KAN's seconds.

    Half of the KAN's seconds goes evenly to the first fits, half to the second fit of the best. An epoch's seconds are
    those of some epochs of each network, timed here one after another. The schedule of a fit needs the number of its
    epochs before it begins, so time cannot end it.
    """
    first, second = (EPOCHS * seconds for seconds in _epoch_seconds(convolutional_kan, seed))
    shapes = [partial(mlp, hidden) for hidden in (hidden_for(1), hidden_for(2), _LARGE)]
    candidates = []
    for new in shapes:
        on_train, on_both = _epoch_seconds(new, seed)
        epochs = (first + second) / 2 / len(shapes) / on_train, (first + second) / 2 / on_both
        candidates.append(Candidate(new, *(max(1, round(each)) for each in epochs)))
    return candidates, first + second


def _epoch_seconds(new: Callable[[int], nn.Module], seed: int) -> tuple[float, float]:
    """Processor time of an epoch of the first and of the second fit."""
    rows, network = digits(), new(seed)
    fitted(network, rows.train, rows.validation, 1, seed)
    found = []
    for train, judging in ((rows.train, rows.validation), (rows.both, rows.both)):
        began = time.process_time()
        fitted(network, train, judging, _TIMED, seed)
        found.append((time.process_time() - began) / _TIMED)
    return found[0], found[1]
