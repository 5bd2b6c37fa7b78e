"""Explain in JSON on Envoy's port: PredictionService/Explain, and KServe's v1 form /v1/models/NAME:explain."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.models.attributions import REFERENCE, add_attribution, contributions, scores
from tests.kit.models.graphs import Answer
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import KanServe, serving

_ROWS = np.array([[0.5, -1, 2.5, 0], [1, 1.5, 1, 1]], np.float32)
_EXPLAIN = "/v1/models/affine:explain"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A server behind Envoy of models that explain, and of "old", which does not."""
    folder = tmp_path_factory.mktemp("json")
    for kind in ("affine", "classifier", "imputed"):
        add_attribution(write_version(folder / "models", kind, change=with_ground() if kind == "affine" else None))
    write_version(folder / "models", "affine", name="old")
    with serving(folder / "models", "--frontend", "envoy", log=folder / "log") as started:
        yield started


def _post(server: KanServe, path: str, body: Any, kind: str = "application/json", **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{server.grpc}{path}", data, {"content-type": kind, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            return error.code, json.loads(text) if error.headers["content-type"] == "application/json" else text


def _contributions(answer: Any) -> NDArray[np.float64]:
    """[rows, outputs, columns]."""
    return np.array(
        [[list(output["contributions"].values()) for output in row.values()] for row in answer["explanations"]]
    )


def test_the_typed_message_as_json(server: KanServe) -> None:
    """Explain of PredictionService as a JSON object: numpy's numbers, the ground, and our status in HTTP."""
    path = "/kan_api.v1.PredictionService/Explain"
    features = {"rows": 2, "columns": 4, "values": _ROWS.ravel().tolist()}
    status, answer = _post(server, path, {"model": "affine", "features": features})
    assert status == 200, answer
    found = np.array(answer["contributions"][0]["values"]["values"]).reshape(2, 4)
    np.testing.assert_allclose(found, contributions("affine", _ROWS)[:, 0], rtol=1e-5, atol=1e-6)
    assert answer["ground"]["unknown_cells"] == "4"
    status, answer = _post(server, path, {"model": "old", "features": features})
    assert (status, answer["code"]) == (400, 9)
    assert "kan-train tune models/old/1" in answer["message"]


@pytest.mark.parametrize("rows", ["instances", "inputs"])
def test_kserves_form_of_numbers(server: KanServe, rows: str) -> None:
    """Predictions and, by output and column, contributions that add up; the numbers are those of Explain."""
    status, answer = _post(server, _EXPLAIN, {rows: _ROWS.tolist()})
    assert status == 200, answer
    assert (answer["model_name"], answer["model_version"]) == ("affine", "1")
    assert list(answer["explanations"][0]["y"]["contributions"]) == ["x0", "x1", "x2", "x3"]
    np.testing.assert_allclose(_contributions(answer), contributions("affine", _ROWS), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["predictions"], scores("affine", _ROWS), rtol=1e-5)
    for row, answered in zip(answer["explanations"], answer["predictions"], strict=True):
        assert row["y"]["explained"] == answered[0]
        total = row["y"]["baseline"] + sum(row["y"]["contributions"].values())
        assert total == pytest.approx(answered[0], abs=1e-5)
    assert answer["ground"]["is_known"]


def test_kserves_form_of_classes(server: KanServe, answer: Answer) -> None:
    """Predictions are the probabilities, explained are the scores; a version may be named as in TensorFlow Serving."""
    status, found = _post(server, "/v1/models/classifier/versions/1:explain", {"instances": _ROWS.tolist()})
    assert status == 200, found
    assert found["explains_scores"]
    assert list(found["explanations"][0]) == ["red", "green", "blue"]
    np.testing.assert_allclose(found["predictions"], answer("classifier", _ROWS), rtol=1e-4)
    explained = [[output["explained"] for output in row.values()] for row in found["explanations"]]
    np.testing.assert_allclose(explained, scores("classifier", _ROWS), rtol=1e-5, atol=1e-6)


def test_references_and_gaps(server: KanServe) -> None:
    """A reference is one row, a list of one or one a row; null is a missing value where the model imputes."""
    rows = np.array([[np.nan, 3], [2, 1]], np.float32)
    given = [[None, 3], [2, 1]]
    references: list[Any] = [given[1], [given[1]], given[::-1], [None, 4]]
    for reference in references:
        shape = reference if isinstance(reference[0], list) else [reference]
        right = np.array([[np.nan if cell is None else cell for cell in row] for row in shape], np.float32)
        status, answer = _post(server, "/v1/models/imputed:explain", {"instances": given, "reference": reference})
        assert status == 200, answer
        np.testing.assert_allclose(_contributions(answer), contributions("imputed", rows, right), atol=1e-6)


_MISTAKES: list[tuple[str, Any, int, str]] = [
    (_EXPLAIN, b"{", 400, "no JSON"),
    (_EXPLAIN, b"[" * 100_000, 400, "no JSON"),
    (_EXPLAIN, [], 400, "no JSON object"),
    (_EXPLAIN, {}, 400, "no instances"),
    (_EXPLAIN, {"instances": [[1] * 4], "inputs": [[1] * 4]}, 400, "instances and inputs"),
    (_EXPLAIN, {"instances": [[1] * 4], "refernce": [1] * 4}, 400, "'refernce'"),
    (_EXPLAIN, {"instances": []}, 400, "no list of rows"),
    (_EXPLAIN, {"instances": [1, 2, 3, 4]}, 400, "no list of rows"),
    (_EXPLAIN, {"instances": [{"x0": 1}]}, 400, "no list of rows"),
    (_EXPLAIN, {"instances": [[1] * 4, [1] * 3]}, 400, "row 1 has 3 numbers"),
    (_EXPLAIN, {"instances": [[1] * 3]}, 400, "features has 3 columns; model 'affine' wants 4"),
    (_EXPLAIN, {"instances": [[1, 2, 3, "four"]]}, 400, 'column 3 is "four"'),
    (_EXPLAIN, {"instances": [[1, 2, 3, True]]}, 400, "column 3 is true"),
    (_EXPLAIN, {"instances": [[1, 2, 3, None]]}, 400, "column 3 ('x3') is nan"),
    (_EXPLAIN, {"instances": [[1, 2, 3, 1e300]]}, 400, "column 3 ('x3') is inf"),
    (_EXPLAIN, {"instances": [[1, 2, 3, 10**400]]}, 400, "too large"),
    (_EXPLAIN, {"instances": [[1] * 4], "reference": [1] * 3}, 400, "reference has 3 columns"),
    (_EXPLAIN, {"instances": [[1] * 4], "reference": [[1] * 4] * 2}, 400, "reference has 2 rows; wanted 1"),
    (_EXPLAIN, {"instances": [[1] * 4], "reference": "median"}, 400, "reference is no list"),
    (_EXPLAIN, {"instances": [[1] * 4] * 5000}, 400, "5000 rows; wanted 1 to 4096"),
    (_EXPLAIN, {"instances": [[1.5] * 100_000] * 6}, 429, "2097152 bytes"),
    ("/v1/models/old:explain", {"instances": [[1] * 4]}, 400, "kan-train tune models/old/1"),
    ("/v1/models/absent:explain", {"instances": [[1] * 4]}, 404, "unknown"),
    ("/v1/models/affine/versions/x:explain", {"instances": [[1] * 4]}, 400, "model version is 'x'"),
    ("/v1/models/affine/versions/7:explain", {"instances": [[1] * 4]}, 404, "no version 7"),
]


def test_mistakes_are_told_as_kserve_tells_them(server: KanServe) -> None:
    """{"error": "…"} with an HTTP status, in plain words; the next request is answered."""
    for path, body, status, message in _MISTAKES:
        found, answer = _post(server, path, body)
        assert found == status, (body, answer)
        assert message in answer["error"]
    assert _post(server, _EXPLAIN, {"instances": _ROWS.tolist()})[0] == 200
    assert server.sample("kan_requests_total", protocol="kserve", code="INVALID_ARGUMENT") >= 15
    assert server.sample("kan_requests_total", protocol="kserve", code="FAILED_PRECONDITION") == 1


@pytest.mark.parametrize("path", [_EXPLAIN, "/kan_api.v1.PredictionService/Predict"])
def test_a_failed_call_returns_its_request_id_in_a_header(server: KanServe, path: str) -> None:
    """In both forms of JSON, as gRPC's trailing metadata have it."""
    headers = {"content-type": "application/json", "x-request-id": "order 66"}
    request = urllib.request.Request(f"http://{server.grpc}{path}", b'{"model": "affine"}', headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    with caught.value as error:
        assert (error.code, error.headers["x-request-id"]) == (400, "order 66")


def test_only_plain_json_is_taken(server: KanServe) -> None:
    """What a page of another origin could send is refused before it is read, as with the other methods."""
    body = {"instances": _ROWS.tolist()}
    assert _post(server, _EXPLAIN, body, "Application/JSON;charset=utf-8")[0] == 200
    for path, kind, headers in (
        (_EXPLAIN, "text/plain", {}),
        (_EXPLAIN, "application/json", {"content-encoding": "gzip"}),
        (f"{_EXPLAIN}?a=1", "application/json", {}),
        ("/v1/models/affine:predict", "application/json", {}),
    ):
        status, text = _post(server, path, body, kind, **headers)
        assert status == 415
        assert b"/v1/models/NAME:explain" in text
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{server.grpc}{_EXPLAIN}", timeout=60)
    assert caught.value.code == 415
    caught.value.close()


def test_many_rows(server: KanServe) -> None:
    """Four thousand rows of one request have their explanations in order."""
    status, answer = _post(server, "/v1/models/classifier:explain", {"instances": [[1, 2, 3, 4]] * 4000})
    assert status == 200
    assert len(answer["explanations"]) == 4000
    assert answer["explanations"][3999] == answer["explanations"][0]
    right = contributions("classifier", np.array([[1, 2, 3, 4]], np.float32), REFERENCE)
    np.testing.assert_allclose(_contributions(answer)[3999], right[0], rtol=1e-5)
