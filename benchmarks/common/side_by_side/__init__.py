"""Processor time of a request on servers that differ in one thing, side by side.

A round has servers of its own. In a round, slices of 20 ms of a load alternate between them in an order that turns, so
that all see the same speed of the machine. A round gives one ratio for each server over the first. For example, rounds
of 1.031, 1.029 and 1.034 mean 3.1 % more processor time. Rounds follow until the 95 % intervals are narrow enough.
"""

from benchmarks.common.side_by_side.asked import Asked
from benchmarks.common.side_by_side.rounds import Plan, Times, measure_rounds
from benchmarks.common.side_by_side.trimmed_mean import trimmed_mean

__all__ = ["Asked", "Plan", "Times", "measure_rounds", "trimmed_mean"]
