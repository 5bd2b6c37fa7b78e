"""A model's tensors as the Open Inference Protocol shows them: those of its graph, and labels beside probabilities."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest, TensorSpec

_LABEL = "label"  # as converted scikit-learn classifiers call it


@dataclass(frozen=True)
class Tensors:
    """What a version takes and gives. Made once: reading it off the manifest costs more than a small model's run.

    Attributes:
        input_name: Of the one tensor that it takes.
        graph_names: Of what its graph gives, in that order.
        label_name: Of the labels that a classification gives besides; None elsewhere. Of datatype BYTES, [rows, 1]:
            the columns that Triton's configuration wants of every output.
        names: Of all that may be asked for, the labels last.
        outputs: The same with types and shapes.
    """

    input_name: str
    graph_names: tuple[str, ...]
    label_name: str | None
    names: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]
    _words: tuple[bytes, ...]

    @classmethod
    def of(cls, manifest: ModelManifest) -> Self:
        """Those of a version."""
        input_name = manifest.inputs[0].name
        names, outputs = tuple(spec.name for spec in manifest.outputs), tuple(manifest.outputs)
        if manifest.task != TASK_CLASSIFICATION:
            return cls(input_name, names, None, names, outputs, ())
        label_name = _LABEL
        while label_name in names:
            label_name += "_"
        labels = TensorSpec(name=label_name, datatype="BYTES", shape=[-1, 1])
        words = (*(word.encode() for word in manifest.classes), b"")
        return cls(input_name, names, label_name, (*names, label_name), (*outputs, labels), words)

    def labels(self, probabilities: NDArray[Any]) -> list[bytes]:
        """The class of each row's largest probability.

        Args:
            probabilities: [rows, classes], the graph's first output.

        Returns:
            A word a row in UTF-8: the first of equals, and no letter where one of the row's numbers is NaN.
        """
        best = np.where(np.isnan(probabilities).any(axis=1), -1, probabilities.argmax(axis=1))
        return [self._words[place] for place in best.tolist()]


def raw_words(words: Sequence[bytes]) -> bytes:
    """Words as raw contents of datatype BYTES: before each its length, 4 bytes, little-endian."""
    return b"".join(struct.pack("<I", len(word)) + word for word in words)
