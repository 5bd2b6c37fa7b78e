"""One prediction from the answers to several requests."""

import numpy as np

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import TASK_REGRESSION, ModelManifest
from service.client.answers import join_answers


def test_times_are_summed_over_the_requests() -> None:
    """The waits of the rows and the durations of their runs are summed separately."""
    answers = [
        pb.PredictResponse(
            version=3,
            queue_seconds=queue_seconds,
            compute_seconds=compute_seconds,
            outputs=[pb.Output(name="y", values=pb.Matrix(rows=1, columns=1, values=[value]))],
        )
        for value, queue_seconds, compute_seconds in ((1.0, 0.25, 2.0), (4.0, 0.5, 8.0))
    ]
    got = join_answers(ModelManifest(name="m", version=3, task=TASK_REGRESSION), answers, 2)
    np.testing.assert_array_equal(got.values, [[1.0], [4.0]])
    assert (got.queue_seconds, got.compute_seconds) == (0.75, 10.0)
