"""The message of a call in a header."""

import base64

import pytest

from kan_api.v1 import prediction_pb2
from open_inference import grpc_predict_v2_pb2
from service.frontends.envoy import message_header


@pytest.mark.parametrize("body", [b"", b"\0\0\0\0\1x", bytes(range(256)) * 300])
def test_a_body_comes_out_as_it_went_in(body: bytes) -> None:
    """Whatever its bytes; base64 is Envoy's, which is the standard one with padding."""
    assert message_header.body_in({message_header.HEADER: base64.b64encode(body)}) == body


def test_its_methods_are_there_and_have_one_message() -> None:
    """A service that is renamed would switch it off in silence."""
    services = (
        prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"],
        grpc_predict_v2_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
    )
    unary = {
        f"/{service.full_name}/{method.name}"
        for service in services
        for method in service.methods
        if not method.client_streaming
    }
    assert set(message_header.PATHS) <= unary


def test_without_the_header_there_is_a_body_to_come() -> None:
    """An empty body in a header is not the same as none."""
    assert message_header.body_in({b"content-type": b"application/grpc"}) is None
    assert message_header.body_in({message_header.HEADER: b""}) == b""
