"""Versions that are removed while they answer: a table begins anew with the newest one, and never mixes versions."""

import asyncio
import io
import logging
import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
import pytest
from numpy.typing import NDArray

from service.client import AsyncClient, Client, ClientError, NotFound
from service.client.access import Access
from service.client.channel import options, target
from service.client.command.predict_file import IncompleteTable, Outcome, PredictionJob, predict_file
from service.client.connection import Connection, Deadline, Rpc, Steps, Wait
from service.client.streaming.conversation import Conversation
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start

Floats = NDArray[np.float32]
Answer = Callable[[str, Floats], Floats]

NAME = "affine"
ROWS = np.random.default_rng(0).normal(size=(9000, 4)).round(3).astype(np.float32)
# Versions by turns, so that their answers tell them apart.
KINDS = {version: "affine" if version % 2 else "slow" for version in range(1, 7)}


class Versions:
    """Versions of one model in a repository, and a kan-serve that falls back when the newest version is removed."""

    def __init__(self, models: Path, write_model: WriteModel, kan_serve: Start, count: int) -> None:
        self._folder = models / NAME
        for version in range(1, count + 1):
            write_model(KINDS[version], version=version, name=NAME)
        self.newest = count
        self.server = kan_serve("--poll-seconds", "0.05")

    def drop(self) -> None:
        """Remove the newest one, and see to it that the server has noticed."""
        shutil.rmtree(self._folder / str(self.newest))
        self.newest -= 1
        with Client(self.server.grpc, 60) as client:
            while client.manifest(NAME).version != self.newest:
                pass


@pytest.fixture
def versions(models: Path, write_model: WriteModel, kan_serve: Start) -> Callable[[int], Versions]:
    """Creates that many versions and serves them."""
    return lambda count: Versions(models, write_model, kan_serve, count)


def interrupted(steps: Steps[Any], then: Callable[[], object], times: int) -> Generator[Rpc[Any] | Wait, Any, Any]:
    """The steps, with an action after the first answer of each of the first versions."""
    seen: set[int] = set()
    try:
        step = next(steps)
        while True:
            try:
                answer = yield step
            except ClientError as error:
                step = steps.throw(error)
                continue
            if isinstance(step, Rpc) and step.path.endswith("Predict") and len(seen) < times:
                if answer.version not in seen:
                    then()
                seen.add(answer.version)
            step = steps.send(answer)
    except StopIteration as done:
        return done.value


def ask(address: str, times: int, drop: Callable[[], object], version: int | None = None) -> Any:
    """All rows in one call, while versions go."""
    servers = target(address)
    connection = Connection(servers, options(False, 5, False), True, Access.of(servers, None, None, False))
    try:
        steps = interrupted(Conversation().predict(NAME, ROWS, version, False), drop, times)
        return connection.run(steps, Deadline.after(60))
    finally:
        connection.close()


def test_a_table_whose_version_goes_is_asked_for_anew(
    versions: Callable[[int], Versions], answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """All rows are the newest version's, and a warning says so."""
    served = versions(2)
    with caplog.at_level(logging.WARNING, "service.client"):
        got = ask(served.server.grpc, 1, served.drop)
    assert got.version == 1
    np.testing.assert_allclose(got.values, answer("affine", ROWS), atol=1e-4)
    assert len(caplog.messages) == 1
    assert "no version 2 here" in caplog.messages[0]
    assert "sent again" in caplog.messages[0]


def test_a_table_begins_anew_three_times_at_most(versions: Callable[[int], Versions], answer: Answer) -> None:
    """Within one call, three versions may go."""
    served = versions(6)
    assert ask(served.server.grpc, 3, served.drop).version == 3


@pytest.mark.slow
def test_a_table_whose_versions_all_go_fails(versions: Callable[[int], Versions]) -> None:
    """The fourth removed version is one too many."""
    served = versions(6)
    with pytest.raises(NotFound, match="3 versions before"):
        ask(served.server.grpc, 4, served.drop)


def test_a_version_that_was_named_is_not_replaced(versions: Callable[[int], Versions]) -> None:
    """Its caller wants that one."""
    served = versions(2)
    with pytest.raises(NotFound, match="no version 2"):
        ask(served.server.grpc, 1, served.drop, version=2)


class Gated(io.BytesIO):
    """A CSV of ROWS, during whose reading versions go; as a file, or as a pipe that can be read once.

    Args:
        drop: is called when a line is read, for the first times.
        times: how many.
        seekable: whether it is a file.
        at_line: which line; the first is the header.
    """

    def __init__(self, drop: Callable[[], object], times: int, seekable: bool, at_line: int = 5000) -> None:
        lines = (",".join(f"{value:.3f}" for value in row) for row in ROWS.astype(np.float64))
        super().__init__("\n".join(["x0,x1,x2,x3", *lines]).encode())
        self._drop, self._times, self._seekable = drop, times, seekable
        self._read, self._at_line = 0, at_line

    def seekable(self) -> bool:
        return self._seekable

    def seek(self, place: int, whence: int = 0, /) -> int:
        self._read = 0
        return super().seek(place, whence)

    def readline(self, size: int | None = -1, /) -> bytes:
        self._read += 1
        if self._read == self._at_line and self._times:
            self._times -= 1
            self._drop()
        return super().readline(size)


def predict(address: str, text: Gated, output: TextIO, told: list[str], style: Any = "csv", **changes: Any) -> Outcome:
    """Run `kan-client predict`."""
    fields: dict[str, Any] = {"model": NAME, "version": None, "target": None, "all_probabilities": False, **changes}
    table = PredictionJob(source="rows.csv", file_format="csv", style=style, **fields)
    with Client(address, 60) as client:
        return predict_file(client, table, text, output, told.append)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["w", "a"])
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
def test_a_file_of_answers_begins_anew(
    versions: Callable[[int], Versions], answer: Answer, tmp_path: Path, mode: Literal["w", "a"], seekable: bool
) -> None:
    """Printed rows are removed, older content of the file stays, and a message tells the user."""
    told: list[str] = []
    served = versions(2)
    path = tmp_path / "answers.csv"
    path.write_text("mine\n")
    with path.open(mode, encoding="utf-8") as output:
        if mode == "w":
            output.write("mine\n")
        predict(served.server.grpc, Gated(served.drop, 1, seekable), output, told)
    assert told == [f"version 2 of {NAME} is gone; the table begins anew on version 1"]
    first, name, *values = path.read_text().splitlines()
    assert (first, name) == ("mine", "y")
    np.testing.assert_allclose(np.array(values, float), answer("affine", ROWS)[:, 0], atol=1e-4)


def test_a_file_whose_versions_all_go_is_left_empty(versions: Callable[[int], Versions], tmp_path: Path) -> None:
    """No incomplete table is left that looks complete."""
    told: list[str] = []
    served = versions(6)
    path = tmp_path / "answers.csv"
    gone = pytest.raises(IncompleteTable, match="3 before it")
    with path.open("w", encoding="utf-8") as output, gone:
        predict(served.server.grpc, Gated(served.drop, 4, True), output, told)
    assert len(told) == 3
    assert path.read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("style", "last"),
    [
        ("csv", "# incomplete: version 2 of affine is gone after 4097 lines; "),
        ("json", '{"incomplete": "version 2 of affine is gone after 4096 lines; '),
    ],
)
def test_a_pipe_that_got_rows_is_told_that_they_are_not_all(
    versions: Callable[[int], Versions], answer: Answer, style: str, last: str
) -> None:
    """They cannot be taken back: the last line says so, in a form that is no answer, and the command fails."""
    told: list[str] = []
    served = versions(2)
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool, open(reading, encoding="utf-8") as got:
        read = pool.submit(got.read)
        gone = pytest.raises(IncompleteTable, match="into a file")
        with open(writing, "w", encoding="utf-8") as output, gone:
            predict(served.server.grpc, Gated(served.drop, 1, True), output, told, style)
        lines = read.result().splitlines()
    assert told == []
    assert lines[-1].startswith(last)
    if style == "csv":
        np.testing.assert_allclose(np.array(lines[1:-1], float), answer("slow", ROWS[:4096])[:, 0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
def test_a_pipe_that_got_nothing_begins_anew(
    versions: Callable[[int], Versions], answer: Answer, seekable: bool
) -> None:
    """A version that is removed before the first rows, perhaps hours later, costs no rows."""
    told: list[str] = []
    served, output = versions(2), io.StringIO()
    predict(served.server.grpc, Gated(served.drop, 1, seekable, at_line=2), output, told)
    assert told == [f"version 2 of {NAME} is gone; the table begins anew on version 1"]
    values = np.array(output.getvalue().split()[1:], float)
    np.testing.assert_allclose(values, answer("affine", ROWS)[:, 0], atol=1e-4)


def test_a_file_for_a_version_that_was_named_does_not_begin_anew(versions: Callable[[int], Versions]) -> None:
    """Its caller wants that one."""
    served = versions(2)
    with pytest.raises(NotFound, match="no version 2"):
        predict(served.server.grpc, Gated(served.drop, 1, True), io.StringIO(), [], version=2)


def stream_blocking(address: Any, blocks: Iterator[Floats]) -> list[tuple[int, Floats]]:
    """Versions and values by a stream of Client."""
    with Client(address, 60) as client:
        return [(got.version, got.values) for got in client.predict_stream(NAME, blocks)]


def stream_asyncio(address: Any, blocks: Iterator[Floats]) -> list[tuple[int, Floats]]:
    """The same by AsyncClient."""

    async def ask() -> list[tuple[int, Floats]]:
        async with AsyncClient(address, 60) as client:
            return [(got.version, got.values) async for got in client.predict_stream(NAME, blocks)]

    return asyncio.run(ask())


@pytest.mark.slow
@pytest.mark.parametrize("ask_stream", [stream_blocking, stream_asyncio])
def test_a_stream_outlives_the_version_that_it_began_with(
    versions: Callable[[int], Versions], answer: Answer, ask_stream: Callable[..., list[tuple[int, Floats]]]
) -> None:
    """The newest version at that time answers each block, also if that version is older than the first one."""
    served = versions(2)
    blocks = [ROWS[start : start + 5] for start in range(0, 1000, 5)]

    def dropping() -> Iterator[Floats]:
        for number, block in enumerate(blocks):
            if number == 100:
                served.drop()
            yield block

    got = ask_stream(served.server.grpc, dropping())
    assert {version for version, _ in got} == {1, 2}
    for block, (version, values) in zip(blocks, got, strict=True):
        np.testing.assert_allclose(values, answer(KINDS[version], block), atol=1e-4)


@pytest.mark.slow
def test_a_version_that_one_server_lacks_is_asked_of_the_other(
    write_model: WriteModel,
    kan_serve: Start,
    answer: Answer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A table stays with its first version, and does not begin anew."""
    write_model(KINDS[1], version=1, name=NAME)
    first = kan_serve("--poll-seconds", "0")
    write_model(KINDS[2], version=2, name=NAME)
    second = kan_serve()  # never had version 1
    with Client([first.grpc, second.grpc], 60) as client, caplog.at_level(logging.WARNING, "service.client"):
        for _ in range(10):
            got = client.predict(NAME, ROWS[:2500])
            np.testing.assert_allclose(got.values, answer(KINDS[got.version], ROWS[:2500]), atol=1e-4)
    assert caplog.messages == []


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [2, 3])
def test_publications_fail_nobody_who_asks_several_replicas(
    models: Path, write_model: WriteModel, kan_serve: Start, answer: Answer, replicas: int
) -> None:
    """Replicas scan the folder at different times, so their versions differ for a while: tables, streams, asyncio."""
    for version in (1, 2):
        write_model(KINDS[version], version=version, name=NAME)
    servers = [kan_serve("--poll-seconds", str(seconds)) for seconds in (0.05, 0.4, 1.1)[:replicas]]
    addresses = [server.grpc for server in servers]
    over = threading.Event()

    def publish() -> None:
        """Version after version, each once all replicas have the one before."""
        for version in range(3, 7):
            folder = write_model(KINDS[version], version=version, name=f".{version}", change=_named)
            os.rename(folder, models / NAME / str(version))
            for address in addresses:
                with Client(address, 60) as client:
                    while client.manifest(NAME).version != version:
                        pass
        over.set()

    def check(rows: Floats, version: int, values: Floats) -> None:
        np.testing.assert_allclose(values, answer(KINDS[version], rows), atol=1e-4)

    def tables() -> int:
        calls = 0
        with Client(addresses, 60) as client:
            while not over.is_set():
                calls += 1
                got = client.predict(NAME, ROWS[:2000], bulk=True)
                check(ROWS[:2000], got.version, got.values)
        return calls

    def streams(ask_stream: Callable[..., list[tuple[int, Floats]]]) -> int:
        blocks = [ROWS[start : start + 5] for start in range(0, 200, 5)]
        calls = 0
        while not over.is_set():
            calls += 1
            for block, (version, values) in zip(blocks, ask_stream(addresses, iter(blocks)), strict=True):
                check(block, version, values)
        return calls

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(tables), pool.submit(streams, stream_blocking), pool.submit(streams, stream_asyncio)]
        try:
            pool.submit(publish).result()
        finally:
            over.set()
        assert min(call.result() for call in calls) > 0


def _named(manifest: Any) -> None:
    manifest.name = NAME
