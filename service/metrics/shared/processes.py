"""Processor time, memory and open files of several processes as those of one; and how many workers there are."""

import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_CPU = "process_cpu_seconds"
# Each process has a limit of its own, so the fullest one counts.
_JOINS: Mapping[str, Callable[[float, float], float]] = {
    "process_start_time_seconds": min,
    "process_open_fds": max,
    "process_max_fds": min,
}


class Processes(Collector):
    """The metrics `process_…` of this process and of its children, those that ended among them.

    Memory is the sum of the processes, so pages that they share count several times.

    Args:
        pids: Gives the children that live.
    """

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        while True:
            ended = _ended_seconds()
            merged: dict[str, Metric] = {}
            for pid in (os.getpid(), *self._pids()):
                for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                    _join(merged, metric)
            # A child that ended meanwhile would count twice or not at all.
            if ended == _ended_seconds():
                break
        if _CPU in merged:
            sample = merged[_CPU].samples[0]
            merged[_CPU].samples = [sample._replace(value=sample.value + ended)]
        yield from merged.values()


class WorkerCounts(Collector):
    """How many workers take calls, how many should, and how often one was started in the place of another.

    Args:
        listening: Gives the first number.
        configured: The second.
        restarts: Gives the third.
    """

    def __init__(self, listening: Callable[[], int], configured: int, restarts: Callable[[], int]) -> None:
        self._listening = listening
        self._configured = configured
        self._restarts = restarts

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        yield GaugeMetricFamily("kan_workers", "Worker processes that take calls.", self._listening())
        yield GaugeMetricFamily("kan_workers_configured", "Worker processes by the settings.", self._configured)
        yield CounterMetricFamily(
            "kan_worker_restarts_total", "Worker processes started in the place of one.", self._restarts()
        )


def _join(merged: dict[str, Metric], metric: Metric) -> None:
    if not metric.samples:  # of a process that ends now
        return
    if metric.name not in merged:
        merged[metric.name] = metric
        return
    join = _JOINS.get(metric.name, float.__add__)
    before, sample = merged[metric.name].samples[0], metric.samples[0]
    merged[metric.name].samples = [sample._replace(value=join(float(before.value), float(sample.value)))]


def _ended_seconds() -> float:
    """Processor time of the children that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
