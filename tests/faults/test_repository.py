"""The model repository goes away, or comes half, while it is served: what answers goes on."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.callers.protocols import PROTOCOLS
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.faults

_ROWS = np.array([[0, 1, 2, 0.5]], np.float32)
_POLL = ("--poll-seconds", "0.02")


@pytest.fixture
def serve_under_load(kan_serve: Start, publish_version: Callable[..., Path], graphs: Any) -> Callable[..., Any]:
    """Serves version 1, has callers ask all through some trouble, and gives the server.

    Call it with the trouble: a function of the server, run in a thread. Every answer must be right for its version.
    """
    expected = graphs.answer("kan", _ROWS)

    async def run(server: KanServe, trouble: Callable[[Any], None]) -> None:
        stop = asyncio.Event()

        async def call_on(protocol: Any) -> None:
            async with server.channel() as channel:
                method = channel.unary_unary(protocol.path)
                while not stop.is_set():
                    _, version, values = protocol.answer(await method(protocol.request("kan", _ROWS), timeout=90))
                    np.testing.assert_allclose(values, expected + version, atol=1e-4)

        async with asyncio.TaskGroup() as callers:
            for protocol in PROTOCOLS:
                for _ in range(2):
                    callers.create_task(call_on(protocol))
            try:
                await asyncio.to_thread(trouble, server)
            finally:
                stop.set()

    def serve(trouble: Callable[[Any], None]) -> Any:
        publish_version("kan")
        server = kan_serve(*_POLL)
        asyncio.run(run(server, trouble))
        assert server.is_ready()
        return server

    return serve


def _wait_for_log(server: KanServe, text: str, times: int = 1) -> None:
    wait_for(lambda: server.log.read_text().count(text) == times, f"{text!r} {times} times in the log")


def _wait_for_version(server: KanServe, version: int) -> None:
    def serves() -> bool:
        return bool(server.sample("kan_model_ready", model="kan", version=str(version)) == 1)

    wait_for(serves, f"version {version}")


def test_files_of_a_served_model_vanish(
    serve_under_load: Callable[..., Any], models: Path, publish_version: Callable[..., Path]
) -> None:
    """Its loaded version still answers, one line is logged, and a later version is loaded."""

    def trouble(server: KanServe) -> None:
        (models / "kan" / "1" / "model.onnx").unlink()
        (models / "kan" / "1" / "manifest.json").unlink()
        (models / "kan" / "1").rmdir()
        _wait_for_log(server, "model kan: its files are gone")
        shutil.rmtree(models / "kan")
        (models / "kan" / "1").mkdir(parents=True)  # an empty version in its place
        assert publish_version("kan").name == "2"
        _wait_for_version(server, 2)

    serve_under_load(trouble)


def test_the_repository_itself_vanishes(
    serve_under_load: Callable[..., Any], models: Path, publish_version: Callable[..., Path]
) -> None:
    """Loaded versions still answer, one line is logged; when the folder is back it is scanned again."""

    def trouble(server: KanServe) -> None:
        away = models.with_name("away")
        for times in (1, 2):
            models.rename(away)
            _wait_for_log(server, "loaded models still answer", times)
            away.rename(models)
            _wait_for_version(server, int(publish_version("kan").name))

    server = serve_under_load(trouble)
    assert server.sample("kan_model_swaps_total", model="kan") == 2


def test_the_repository_turns_into_a_file(serve_under_load: Callable[..., Any], models: Path) -> None:
    """The same where a file stands in the folder's place."""

    def trouble(server: KanServe) -> None:
        models.rename(models.with_name("away"))
        models.write_text("no folder")
        _wait_for_log(server, "loaded models still answer")

    serve_under_load(trouble)


def test_a_version_that_is_half_copied(
    serve_under_load: Callable[..., Any],
    tmp_path: Path,
    models: Path,
    publish_version: Callable[..., Path],
) -> None:
    """It is refused and the one before it answers; once the rest is there it takes over. Whichever half is missing."""
    whole = tmp_path / "whole"
    publish_version("kan", whole)

    def copy_late(server: KanServe, missing: str) -> None:
        source = publish_version("kan", whole)
        target = models / "kan" / source.name
        target.mkdir()
        for file in ("manifest.json", "model.onnx"):
            content = (source / file).read_bytes()
            if missing != file:
                (target / file).write_bytes(content[: len(content) // 2] if missing.endswith(f" {file}") else content)
        labels = {"model": "kan", "version": source.name}
        wait_for(lambda: server.sample("kan_model_refused_total", **labels) >= 1, f"a refusal without {missing}")
        assert server.is_ready(), f"a version that is refused for {missing} took readiness away"
        for file in ("model.onnx", "manifest.json"):
            shutil.copy(source / file, target / file)
        _wait_for_version(server, int(source.name))

    def trouble(server: KanServe) -> None:
        for missing in ("manifest.json", "model.onnx", "the end of model.onnx", "the end of manifest.json"):
            copy_late(server, missing)

    serve_under_load(trouble)


def test_files_come_and_go_all_the_time(
    serve_under_load: Callable[..., Any], models: Path, publish_version: Callable[..., Path]
) -> None:
    """Files that vanish between being listed and being read break nothing, and the next version is taken."""

    def trouble(server: KanServe) -> None:
        for _ in range(100):
            shutil.rmtree(publish_version("kan"))
        _wait_for_version(server, int(publish_version("kan").name))

    server = serve_under_load(trouble)
    assert "Traceback" not in server.log.read_text(), server.log.read_text()
