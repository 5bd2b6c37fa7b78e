"""Histograms of a manifest that are read without json_format: the same manifest, and the same refusals."""

import json
from typing import Any

import pytest
from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import Histogram, ModelManifest
from service.errors import ModelRefused
from service.repository.histograms import Histograms
from service.repository.manifest import parse_manifest

_MANY = 2**53 + 1  # more than a double counts


def _document(**histogram: Any) -> dict[str, Any]:
    """A manifest with the same histogram of its second feature and of its first output."""
    return {"name": "kan", "features": [{"name": "a"}, {"name": "b", "histogram": histogram}], "answers": [histogram]}


def test_what_training_writes_is_taken_out_and_put_back() -> None:
    """json_format sees no number of it, and the manifest is as json_format would have made it."""
    written = ModelManifest(name="kan", answers=[Histogram(edges=[0, 1], counts=[5])])
    written.features.add(name="constant")
    written.features.add(name="b").histogram.CopyFrom(Histogram(edges=[-0.5, 0.1, 1e300], counts=[_MANY, 0]))
    document = json.loads(json_format.MessageToJson(written))
    histograms = Histograms.taken_out_of(document)
    assert document["features"][1]["histogram"] == document["answers"][0] == {}
    found = json_format.ParseDict(document, ModelManifest())
    histograms.put_into(found)
    assert found == written


@pytest.mark.parametrize(
    "histogram",
    [
        {"edges": [0, 1.5, 2], "counts": ["1", "2"]},
        {"edges": [0.5, 1.5], "counts": [3]},
        {"edges": ["-Infinity", 1.0], "counts": ["1"]},
        {"edges": [0.0, 1.0], "counts": ["-1"]},
        {"edges": [0.0, 1.0], "counts": ["1e3"]},
        {"edges": [0.0, 1.0], "counts": []},
        {"edges": [], "counts": ["1"]},
        {"edges": [0.0]},
        {},
    ],
)
def test_other_spellings_are_read_as_json_format_reads_them(histogram: dict[str, Any]) -> None:
    """Plain numbers for counts, texts for edges, one list without the other."""
    document = _document(**histogram)
    assert parse_manifest(json.dumps(document).encode()) == json_format.ParseDict(document, ModelManifest())


@pytest.mark.parametrize(
    "histogram",
    [
        {"edges": [0.0, 1.0], "counts": ["9223372036854775808"]},
        {"edges": [0.0, 1.0], "counts": ["1", True]},
        {"edges": [0.0, 1.0], "counts": ["٣", "x"]},
        {"edges": [0.0, float("nan")], "counts": ["1"]},
        {"edges": [0.0, float("inf")], "counts": ["1"]},
        {"edges": [True, None], "counts": ["1"]},
        {"edges": "0", "counts": ["1"]},
        {"edges": [[0.0]], "counts": ["1"]},
    ],
)
def test_what_json_format_refuses_is_refused(histogram: dict[str, Any]) -> None:
    """Each of them is no histogram."""
    document = _document(**histogram)
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict(document, ModelManifest())
    with pytest.raises(ModelRefused, match="not a kan_api"):
        parse_manifest(json.dumps(document).encode())


@pytest.mark.parametrize("document", [{"features": {"a": 1}}, {"features": [1]}, {"answers": [1]}, {"answers": 3}])
def test_lists_of_other_things_are_left_to_json_format(document: dict[str, Any]) -> None:
    """It refuses them."""
    with pytest.raises(ModelRefused, match="not a kan_api"):
        parse_manifest(json.dumps(document).encode())
