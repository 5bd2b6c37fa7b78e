"""Storage in this process that can fail, and what of it a cache or the metrics show."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from service.metrics.metrics import Metrics


class Outage:
    """A storage whose network can be cut for one kind of call, "find" or "cat_file"; counts the calls that failed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off: set[str] = set()
        self.failed = 0
        system = importlib.import_module("fsspec.implementations.local").LocalFileSystem
        for name in ("find", "cat_file"):
            self._wrap(system, name, monkeypatch)

    def _wrap(self, kind: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = getattr(kind, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            if name in self.off:
                self.failed += 1
                raise ConnectionError("no route to host")
            return whole(*arguments, **keywords)

        monkeypatch.setattr(kind, name, call)


def cached_files(tmp_path: Path) -> list[str]:
    """The files in the cache, relative to the repository's folder in it."""
    return sorted(
        "/".join(file.relative_to(tmp_path / "cache").parts[1:])
        for file in (tmp_path / "cache").rglob("*")
        if file.is_file() and file.name != ".lock"
    )


def seen_seconds(metrics: Metrics) -> float:
    """When the repository was last read without an error, by the metric; 0 if never."""
    value = metrics.registry.get_sample_value("kan_repository_seen_timestamp_seconds")
    assert value is not None
    return float(value)
