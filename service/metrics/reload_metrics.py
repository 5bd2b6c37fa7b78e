"""Metrics of the settings file: how often it was read again, and whether the last time it was taken."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class ReloadMetrics:
    """Counts the reloads of one server."""

    def __init__(self) -> None:
        self._counts = {"taken": 0, "refused": 0}
        self._last_taken = True

    def note(self, taken: bool) -> None:
        """Count a reload of the settings file that was taken, or refused."""
        self._counts["taken" if taken else "refused"] += 1
        self._last_taken = taken

    def collect(self) -> Iterator[Metric]:
        """The metrics at this moment."""
        # The library's Counter would add a series with the time of its creation.
        reloads = CounterMetricFamily("kan_settings_reloads", "Reloads of the settings file.", labels=("result",))
        for result, count in self._counts.items():
            reloads.add_metric((result,), count)
        yield reloads
        yield GaugeMetricFamily(
            "kan_settings_last_reload_successful",
            "0 where the last reload of the settings file was refused, otherwise 1.",
            self._last_taken,
        )
