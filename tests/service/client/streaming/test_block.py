"""A block of a stream as it is sent."""

import numpy as np
import pytest

from kan_api.v1.manifest_pb2 import Column, Feature, ModelManifest
from kan_api.v1.prediction_pb2 import PRIORITY_BULK
from service.client import InvalidInput
from service.client.streaming.block import BlockEncoder
from service.client.streaming.conversation import Conversation

MANIFEST = ModelManifest(
    name="flowers",
    version=3,
    columns=[Column(name="age"), Column(name="dose")],
    features=[Feature(name="age", column="age"), Feature(name="dose", column="dose")],
)


def test_a_block_is_one_request_with_its_number() -> None:
    """Rows by name are sent in the model's order; the block keeps them as they were given."""
    rows = [{"dose": 2.0, "age": 1.0}, {"dose": 4.0, "age": 3.0}]
    block = BlockEncoder(Conversation(), "flowers", None, bulk=True).encode(7, rows, MANIFEST)
    assert (block.id, block.rows, block.caller_rows, block.encoded_for) == ("7", 2, rows, MANIFEST)
    request = block.request
    assert (request.model, request.version, request.priority) == ("flowers", 0, PRIORITY_BULK)
    assert np.frombuffer(request.features.raw, "<f4").tolist() == [1, 2, 3, 4]


def test_a_version_that_was_named_is_asked() -> None:
    """Not the one whose manifest says how the rows are encoded."""
    block = BlockEncoder(Conversation(), "flowers", 2, bulk=False).encode(0, np.zeros((1, 2)), MANIFEST)
    assert block.request.version == 2


def test_an_error_names_the_block() -> None:
    """For rows that do not fit the model, and for more rows than one request may hold."""
    encoder = BlockEncoder(Conversation(), "flowers", None, bulk=False)
    with pytest.raises(InvalidInput, match=r"block 7: .* lacks column"):
        encoder.encode(7, [{"age": 1.0}], MANIFEST)
    with pytest.raises(InvalidInput, match="block 8 has 4097 rows, wanted at most 4096 of 2"):
        encoder.encode(8, np.zeros((4097, 2)), MANIFEST)
