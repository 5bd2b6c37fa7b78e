"""How clients choose the size of requests by the limits of a server."""

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.limits import Limits, widest


def test_requests_stay_within_rows_and_bytes() -> None:
    """By default 4096 rows, and fewer of wide rows so that a message stays below 16 MiB."""
    limits = Limits()
    assert limits.most_rows(64) == limits.shared_rows(64) == 4096
    assert limits.most_rows(10_000) * 10_000 * 4 < 2**24
    assert limits.most_rows(10_000) > 400
    assert limits.most_rows(2**23) == 1


def test_a_server_is_taken_at_its_word() -> None:
    """A limit that a server does not send, for example an older server, has its default."""
    response = prediction_pb2.GetModelResponse()
    assert Limits.of(response) == Limits()
    response.limits.SetInParent()
    assert Limits.of(response) == Limits()
    response.limits.MergeFrom(
        prediction_pb2.Limits(max_request_rows=100, max_message_bytes=2048, shared_request_rows=30)
    )
    limits = Limits.of(response)
    assert limits == Limits(100, 2048, 30)
    assert (limits.most_rows(1), limits.shared_rows(1)) == (100, 30)
    assert limits.shared_rows(16) == limits.most_rows(16) == 1024 // 64
    assert limits.most_rows(0) == 100


def test_the_wider_of_question_and_answer_counts() -> None:
    """An answer may have more numbers a row than its question."""
    manifest = manifest_pb2.ModelManifest(
        features=[manifest_pb2.Feature(name="x")], outputs=[manifest_pb2.TensorSpec(name="y", shape=[-1, 7])]
    )
    assert widest(manifest) == 7
    manifest.features.extend(manifest_pb2.Feature(name=f"x{place}") for place in range(9))
    assert widest(manifest) == 10
    assert widest(manifest_pb2.ModelManifest()) == 0
