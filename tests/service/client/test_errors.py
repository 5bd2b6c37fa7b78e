"""What the client says of a server's refusal."""

import grpc
import pytest

from service.client.errors import from_status


@pytest.mark.parametrize(
    ("details", "advice"),
    [
        ("the queue of model 'digits' is full", "; try again later or send fewer rows at a time"),
        ("the quota is used; come again after 2 s", ""),
        (
            "model 'digits' is not in memory, and pinned models leave no room for it (max_loaded_models is 2); unpin a "
            "model, or raise the bound",
            "",
        ),
    ],
)
def test_a_refusal_ends_with_what_helps(details: str, advice: str) -> None:
    """Fewer rows help with a full queue, and not where the server says itself what to do."""
    error = from_status(grpc.StatusCode.RESOURCE_EXHAUSTED, details, "kan:8001", 10.0)
    assert str(error) == f"kan:8001 has refused the call: {details}{advice}"
