"""Metrics of who may do what: the files in use, the end of the certificate, and lines that the access log lost."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class Files(Protocol):
    """Files that are taken anew when they change."""

    is_current: bool


class Log(Protocol):
    """An access log."""

    lost: int


class AccessMetrics:
    """Reads its numbers at each scrape."""

    def __init__(self) -> None:
        self._files: dict[str, Files] = {}
        self._certificate_ends: Callable[[], float] | None = None
        self._log: Log | None = None

    def watch_files(self, kind: str, files: Files) -> None:
        """Tell of these files from now on, under the label `kind`."""
        self._files[kind] = files

    def watch_certificate(self, ends: Callable[[], float]) -> None:
        """Tell from now on when the certificate in use ends, as Unix time."""
        self._certificate_ends = ends

    def watch_log(self, log: Log) -> None:
        """Tell of this access log from now on."""
        self._log = log

    def valid(self) -> Mapping[str, bool]:
        """Whether the files of each kind are in use as they are on disk."""
        return {kind: files.is_current for kind, files in self._files.items()}

    def certificate_ends(self) -> float | None:
        """Unix time at which the certificate in use ends; None without TLS."""
        return None if self._certificate_ends is None else self._certificate_ends()

    def lost_lines(self) -> int | None:
        """Lines that the access log lost; None without an access log."""
        return None if self._log is None else self._log.lost

    def collect(self) -> Iterator[Metric]:
        """The metrics at this moment."""
        return access_families(self.valid(), self.certificate_ends(), self.lost_lines())


def access_families(
    valid: Mapping[str, bool], certificate_ends: float | None, lost_lines: int | None
) -> Iterator[Metric]:
    """The metrics; without samples where there is nothing to watch."""
    files = GaugeMetricFamily(
        "kan_access_file_valid",
        "1 where a file of tokens or certificates is in use as it is on disk, 0 where that is invalid.",
        labels=("file",),
    )
    for kind, is_valid in valid.items():
        files.add_metric((kind,), is_valid)
    ends = GaugeMetricFamily(
        "kan_certificate_expires_timestamp_seconds",
        "Unix time at which the certificate of the gRPC port ends, of that in use.",
        labels=(),
    )
    if certificate_ends is not None:
        ends.add_metric((), certificate_ends)
    lost = CounterMetricFamily("kan_access_log_lost_total", "Lines that the access log could not write.", labels=())
    if lost_lines is not None:
        lost.add_metric((), lost_lines)
    yield from (files, ends, lost)
