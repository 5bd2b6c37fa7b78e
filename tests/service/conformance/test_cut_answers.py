"""Connections that end after the headers of an answer and before its data: gRPC does not repeat such calls."""

import asyncio

import numpy as np
import pytest

from service.client import AsyncClient, Client, Unavailable
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.server.relay import relayed

ROWS = np.ones((2, 4), np.float32)


@pytest.fixture
def server(start: Start, write_model: WriteModel) -> KanServe:
    """A kan-serve of affine."""
    write_model("affine")
    return start()


def test_a_call_whose_answer_was_cut_is_sent_once_more(server: KanServe) -> None:
    """The caller gets the answer. After a second cut it is told that the connection ended."""
    with relayed(server.grpc) as relay, Client(relay.address, 60) as client:
        client.predict("affine", ROWS)
        relay.cuts = 1
        assert client.predict("affine", ROWS).version == 1
        assert relay.cuts == 0
        relay.cuts = 2
        with pytest.raises(Unavailable, match="closed the connection during the call"):
            client.predict("affine", ROWS)
        relay.cuts = 1
        assert client.predict("affine", ROWS, wait=False).version == 1


def test_the_asynchronous_client_repeats_it_too(server: KanServe) -> None:
    """Here the cut hits the first call of all, which asks for the manifest."""

    async def run() -> int:
        with relayed(server.grpc) as relay:
            relay.cuts = 1
            async with AsyncClient(relay.address, 60) as client:
                return (await client.predict("affine", ROWS)).version

    assert asyncio.run(run()) == 1


def test_without_repeats_a_cut_call_fails(server: KanServe) -> None:
    """max_attempts=1 means that each call is sent once."""
    with relayed(server.grpc) as relay, Client(relay.address, 60, max_attempts=1) as client:
        relay.cuts = 1
        with pytest.raises(Unavailable, match="closed the connection"):
            client.models()
        assert relay.cuts == 0
