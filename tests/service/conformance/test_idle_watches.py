"""Watches of health that stay open and hear nothing cost next to nothing."""

import threading
import time
from contextlib import ExitStack, suppress
from typing import Any

import grpc
import psutil
import pytest

from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import KanServe, Start

_WATCHES, _WATCHES_A_CONNECTION = 1000, 500
_SECONDS = 5.0
_MOST_SHARE = 0.03


@pytest.mark.slow
def test_a_thousand_cost_at_most_3_percent_of_a_core(start: Start, write_model: WriteModel) -> None:
    """By the processor time of the server's processes, beside what it takes without watches."""
    write_model("affine")
    server = start()
    without = _share(server)
    with ExitStack() as stack:
        for _ in range(_WATCHES // _WATCHES_A_CONNECTION):
            channel = stack.enter_context(grpc.insecure_channel(server.grpc, server.options))
            watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
            for _ in range(_WATCHES_A_CONNECTION):
                call = watch(b"")
                assert next(call)
                stack.callback(call.cancel)
        assert _share(server) - without <= _MOST_SHARE


def _share(server: KanServe) -> float:
    """Processor time a second, once what came before has settled."""
    threading.Event().wait(2)
    began, before = time.monotonic(), _spent_seconds(server)
    threading.Event().wait(_SECONDS)
    return (_spent_seconds(server) - before) / (time.monotonic() - began)


def _spent_seconds(server: KanServe) -> float:
    spent = 0.0
    for process in server.processes():
        with suppress(psutil.NoSuchProcess):
            spent += sum(process.cpu_times()[:2])
    return spent
