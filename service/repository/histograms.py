"""The histograms of a manifest in JSON, read without json_format, which takes most of its time for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from kan_api.v1.manifest_pb2 import Histogram, ModelManifest


@dataclass(frozen=True)
class Histograms:
    """Histograms that were taken out of a manifest.

    Attributes:
        features: By the number of the feature.
        answers: By the number of the output.
    """

    features: Mapping[int, Histogram]
    answers: Mapping[int, Histogram]

    @classmethod
    def taken_out_of(cls, document: dict[str, Any]) -> Self:
        """Take out the histograms that are spelt as training spells them.

        Everything else stays in the document, and json_format judges it.

        Args:
            document: A kan_api.v1.ModelManifest in JSON. What is taken is empty afterwards.

        Raises:
            ValueError: A count is too large for protobuf.
        """
        features = [each.get("histogram") for each in _objects(document, "features")]
        return cls(_take(features), _take(_objects(document, "answers")))

    def put_into(self, manifest: ModelManifest) -> None:
        """Fill the histograms of the manifest that json_format made of the rest of the document."""
        for number, histogram in self.features.items():
            manifest.features[number].histogram.MergeFrom(histogram)
        for number, histogram in self.answers.items():
            manifest.answers[number].MergeFrom(histogram)


def _objects(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The entries of a list of objects; empty if it is anything else."""
    values = document.get(name)
    return values if isinstance(values, list) and {dict}.issuperset(map(type, values)) else []


def _take(documents: list[Any]) -> dict[int, Histogram]:
    found: dict[int, Histogram] = {}
    for number, document in enumerate(documents):
        if not isinstance(document, dict):
            continue
        edges, counts = _edges(document.get("edges")), _counts(document.get("counts"))
        if edges and counts:
            found[number] = Histogram(edges=edges, counts=counts)
            del document["edges"], document["counts"]
    return found


def _edges(values: object) -> list[float]:
    """A list of finite numbers; empty if it is anything else."""
    if not isinstance(values, list) or not {int, float}.issuperset(map(type, values)):
        return []
    return values if all(map(math.isfinite, values)) else []


def _counts(values: object) -> list[int]:
    """A list of whole numbers, which protobuf writes as texts; empty if it is anything else."""
    if not isinstance(values, list) or set(map(type, values)) != {str}:
        return []
    return list(map(int, values)) if all(map(str.isdecimal, values)) and all(map(str.isascii, values)) else []
