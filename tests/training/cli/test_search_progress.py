"""What a person sees while a search for a formula goes on, and how it ends."""

import io
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.clock import Clock
from tests.kit.waiting import wait_for
from training.cli import main
from training.cli.search_progress import SearchProgress
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe


def test_edges_are_counted_and_the_rest_is_foretold() -> None:
    """128 of 512 edges in 60 s leave 384, which take 180 s; a step without a number of edges goes on."""
    clock, told = Clock(), list[str]()
    progress = SearchProgress(told.append, clock)
    progress.begin("symbolic: layer 0, 512 edges")
    for _ in range(129):  # the last one has only begun
        progress.count()
    clock.now += 60
    assert progress.line() == "symbolic: layer 0: 128 of 512 edges after 60 s, about 3 minutes more"
    clock.now += 3540
    assert progress.line() == "symbolic: layer 0: 128 of 512 edges after 60 minutes, about 3.0 hours more"
    progress.begin("prune: cutting edges")
    progress.count()
    clock.now += 200
    assert progress.line() == "prune: cutting edges: goes on, 3 minutes so far"
    assert told == ["symbolic: layer 0, 512 edges", "prune: cutting edges"]


def test_a_step_that_gives_no_sign_is_told_too() -> None:
    """A thread speaks until the block ends, and no more after it."""
    told: list[str] = []
    with SearchProgress(told.append, soon_seconds=0.001) as progress:
        progress.begin("fitting constants")
        wait_for(lambda: len(told) > 2, "lines")
    count = len(told)
    assert told[1].startswith("fitting constants: goes on, ")
    progress.begin("next")
    assert len(told) == count + 1


def test_a_reader_that_is_stuck_or_gone_does_not_hold_the_end() -> None:
    """A full pipe holds the thread, not the search; a closed stream ends no thread with an error."""
    full, emptied, closed = threading.Event(), threading.Event(), io.StringIO()
    closed.close()

    def tell_stuck(line: str) -> None:
        if "goes on" in line:
            full.set()
            emptied.wait()

    def tell_closed(line: str) -> None:
        if "goes on" in line:
            tries.append(line)
            closed.write(line)

    tries: list[str] = []
    try:
        with SearchProgress(tell_stuck, soon_seconds=0.001) as progress:
            progress.begin("fitting constants")
            assert full.wait(60)
    finally:
        emptied.set()
    with SearchProgress(tell_closed, soon_seconds=0.001) as progress:
        progress.begin("fitting constants")
        wait_for(lambda: len(tries) > 1, "two lines to a closed stream")


@pytest.mark.usefixtures("foreground")
def test_a_signal_ends_the_search_and_changes_nothing(
    wave: Callable[[str], Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The edges are told beforehand. Ctrl-C or SIGTERM in the midst gives code 130, and no file is written."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "wave"
    train(Run(wave(""), tmp_path / "models", RunFolder(folder)), Watcher())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for number in (signal.SIGINT, signal.SIGTERM):
        terminal = _Terminal(number)
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main(["formula", str(folder)]) == 130
        first, *_, last = terminal.getvalue().splitlines()
        assert re.search(
            r": the network of this run has \d+ edges\. Ctrl-C ends the search and changes nothing$", first
        )
        assert last == "kan-train: stopped at once; nothing was changed"
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        assert capsys.readouterr().out == ""


class _Terminal(io.StringIO):
    """Sends a signal when the search has begun."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        if text.startswith("symbolic: layer 0"):
            signal.raise_signal(self._number)
        return super().write(text)
