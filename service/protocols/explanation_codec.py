"""An explanation as a kan_api.v1.ExplainResponse."""

from kan_api.v1.prediction_pb2 import ExplainResponse
from service.protocols.explanation import Explained, attribution_of
from service.protocols.prediction_codec import encode_matrix
from service.registry.model.live_model import LiveModel


def encode_explanation(response: ExplainResponse, explained: Explained, model: LiveModel, *, raw: bool) -> bytes:
    """Put an explanation into a response, and give it as bytes.

    Args:
        response: Gets the numbers, the names and the times.
        explained: From `explain`.
        model: Gives the names of columns and outputs.
        raw: Whether numbers are bytes (the fast way) or lists (the readable way).
    """
    attribution = attribution_of(model)
    response.columns.extend(attribution.columns)
    response.explains_scores = attribution.explains_scores
    encode_matrix(response.explained, explained.explained, raw=raw)
    baseline = explained.baseline[:1] if explained.shares_reference else explained.baseline
    encode_matrix(response.baseline, baseline, raw=raw)
    for place, name in enumerate(attribution.outputs):
        of_output = response.contributions.add()
        of_output.output = name
        encode_matrix(of_output.values, explained.contributions[:, place], raw=raw)
    response.queue_seconds, response.compute_seconds = explained.result.queue_seconds, explained.result.compute_seconds
    return response.SerializeToString()
