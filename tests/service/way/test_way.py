"""How many files of ours one request enters on its way down, from the front end's handler to the session's run.

Somebody who follows a request reads these files. To see them: pytest -m slow -rP tests/service/way
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from open_inference import grpc_predict_v2_pb2 as oip
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import FRONTENDS, Start
from tests.kit.waiting import wait_for

_ROWS = np.ones((1, 4), np.float32).tobytes()
_PREDICT = pb.PredictRequest(model="affine", features=pb.Matrix(rows=1, columns=4, raw=_ROWS))
_MODEL_INFER = oip.ModelInferRequest(
    model_name="affine",
    inputs=[oip.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 4])],
    raw_input_contents=[_ROWS],
)
# Above this, a change has made the way longer: fold the new file into one that is on the way already.
_MOST_FILES = {
    ("grpcio", "Predict"): 11,
    ("grpcio", "ModelInfer"): 11,
    ("envoy", "Predict"): 16,
    ("envoy", "ModelInfer"): 16,
}
_CALLS = 9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "request_bytes"),
    [
        ("/kan_api.v1.PredictionService/Predict", _PREDICT.SerializeToString()),
        ("/inference.GRPCInferenceService/ModelInfer", _MODEL_INFER.SerializeToString()),
    ],
    ids=["Predict", "ModelInfer"],
)
@pytest.mark.parametrize("frontend", FRONTENDS)
def test_the_way_down_is_short(
    kan_serve: Start,
    write_model: WriteModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    frontend: str,
    path: str,
    request_bytes: bytes,
) -> None:
    """A request that arrives alone enters no more files of ours than the bound, before its rows are run."""
    write_model("affine")
    monkeypatch.setenv("KAN_TESTS_WAY", str(tmp_path / "ways"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    server = kan_serve("--frontend", frontend, "--poll-seconds", "0")
    (tmp_path / "ways").unlink(missing_ok=True)  # warm-up runs are none of a request
    with grpc.insecure_channel(server.grpc) as channel:
        method: Any = channel.unary_unary(path)
        ways = wait_for(lambda: _ways_after(lambda: method(request_bytes, timeout=60), tmp_path / "ways"))
    # The usual one: every sixteenth request that arrives alone opens a batch window, which the next one meets.
    ((files, _),) = Counter(ways).most_common(1)
    print(frontend, path, len(files), *files, sep="\n  ")  # noqa: T201 - the list is what people run this test for
    assert len(files) <= _MOST_FILES[frontend, path.rpartition("/")[2]]


def _ways_after(call: Callable[[], object], file: Path) -> list[tuple[str, ...]]:
    """The ways that are written down after one call more, once there are enough of them.

    A busy machine may make a run so slow that the model moves to its thread for some time, whose runs have no way.
    """
    call()
    ways = [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
    return ways if len(ways) >= _CALLS else []
