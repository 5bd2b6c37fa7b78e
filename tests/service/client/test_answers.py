"""One prediction from the answers to several requests."""

import numpy as np

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, ModelManifest
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


def test_sets_hold_the_most_probable_class_and_all_above_the_threshold() -> None:
    """The most probable first; a probability that equals the threshold is in, the next smaller number is not."""
    manifest = ModelManifest(name="m", version=3, task=TASK_CLASSIFICATION, classes=["a", "b", "c"])
    threshold = np.float32(0.3)
    below = np.nextafter(threshold, np.float32(0))
    rows = [[0.1, 0.3, 0.6], [0.6, below, 0.1], [0.2, 0.25, 0.2], [0.5, 0.0, 0.5], [np.nan] * 3]
    values = pb.Matrix(rows=5, columns=3, values=np.array(rows, np.float32).ravel().tolist())
    answer = pb.PredictResponse(version=3, outputs=[pb.Output(name="p", values=values)])
    assert join_answers(manifest, [answer], 5).sets is None
    manifest.calibration.sets.threshold = float(threshold)
    found = join_answers(manifest, [answer], 5)
    assert found.sets == (("c", "b"), ("a",), ("b",), ("a", "c"), None)
    assert found.labels == tuple(each and each[0] for each in found.sets)
    # A threshold of 0: too few rows were there, so each set has all classes.
    manifest.calibration.sets.threshold = 0.0
    sets = join_answers(manifest, [answer], 5).sets
    assert sets is not None
    assert [each and len(each) for each in sets] == [3, 3, 3, 3, None]
