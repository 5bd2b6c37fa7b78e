"""Check answers at the speed of a load: known answers by their bytes, new ones by their numbers."""

from collections.abc import Sequence

import numpy as np

from benchmarks.common.load_job import Exchange, Form
from kan_api.v1 import prediction_pb2
from open_inference import grpc_predict_v2_pb2 as inference_pb2

_ABSOLUTE, _RELATIVE = 1e-5, 1e-4
# The rounding of an answer depends on the size of its batch; a model has at most this many different roundings.
_MOST_ROUNDINGS = 64


class WrongAnswer(Exception):
    """A server's answer is not the model's."""


class Answers:
    """Checks answers to the exchanges of a job.

    The right numbers are those of onnxruntime for the same rows alone. A server that batches the rows of several
    callers may round differently. So new bytes are decoded and compared within 1e-5 + 1e-4·|answer|; from then on they
    are known.
    """

    def __init__(self, form: Form, exchanges: Sequence[Exchange]) -> None:
        self._form = form
        self._exchanges = exchanges
        self._known = [[exchange.answer] for exchange in exchanges]

    def check(self, number: int, message: bytes) -> None:
        """Raise WrongAnswer unless the message answers exchange `number` (modulo the number of exchanges)."""
        number %= len(self._known)
        for numbers in self._known[number]:
            if numbers in message:
                return
        self._learn(number, message)

    def _learn(self, number: int, message: bytes) -> None:
        known, exchange = self._known[number], self._exchanges[number]
        if self._form == "echo":
            raise WrongAnswer(f"an echo of {len(message)} bytes; wanted {len(exchange.answer)} zeros")
        numbers = decode(self._form, message)
        found, wanted = np.frombuffer(numbers, "<f4"), np.frombuffer(exchange.answer, "<f4")
        if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=_RELATIVE, atol=_ABSOLUTE):
            raise WrongAnswer(f"exchange {number}: got {found[:8]} ({found.size} numbers), wanted {wanted[:8]}")
        if len(known) == _MOST_ROUNDINGS:
            raise WrongAnswer(f"exchange {number}: more than {_MOST_ROUNDINGS} answers that differ in their last bits")
        known.append(numbers)


def decode(form: Form, message: bytes) -> bytes:
    """The float32 numbers of an answer.

    Raises:
        WrongAnswer: the message holds no numbers.
    """
    if form == "infer":
        response = inference_pb2.ModelInferResponse.FromString(message)
        if response.raw_output_contents:
            return response.raw_output_contents[0]
        if response.outputs:
            return np.array(response.outputs[0].contents.fp32_contents, "<f4").tobytes()
    elif form == "explain":
        contributions = prediction_pb2.ExplainResponse.FromString(message).contributions
        if contributions:
            return contributions[0].values.raw
    elif form == "stream":
        outputs = prediction_pb2.PredictStreamResponse.FromString(message).prediction.outputs
        if outputs:
            return outputs[0].values.raw
    else:
        outputs = prediction_pb2.PredictResponse.FromString(message).outputs
        if outputs:
            return outputs[0].values.raw
    raise WrongAnswer(f"an answer without numbers: {message[:200]!r}")
