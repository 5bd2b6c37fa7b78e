"""The tensors of a model in the Open Inference Protocol: those of its graph, and for a classification the labels."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest, TensorSpec

_LABEL = "label"  # the name in converted scikit-learn classifiers


@dataclass(frozen=True)
class Tensors:
    """Inputs and outputs of a version. Made once, because reading the manifest costs more than a small model's run.

    Attributes:
        input_name: Name of its one input.
        graph_names: Names of the outputs of its graph, in order.
        label_name: Name of the output with the labels of a classification; None for a regression. Its datatype is
            BYTES, its shape [rows, 1], because Triton's configuration wants a number of columns for every output.
        names: Names of all outputs that a request may name; the labels are last.
        outputs: The same outputs with types and shapes.
    """

    input_name: str
    graph_names: tuple[str, ...]
    label_name: str | None
    names: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]
    _words: tuple[bytes, ...]

    @classmethod
    def of(cls, manifest: ModelManifest) -> Self:
        """The tensors of a version."""
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
        """For each row, the class with the largest probability.

        Args:
            probabilities: [rows, classes], the graph's first output.

        Returns:
            One class a row in UTF-8: the first one among equals; b"" if one of the row's numbers is NaN.
        """
        best = np.where(np.isnan(probabilities).any(axis=1), -1, probabilities.argmax(axis=1))
        return [self._words[place] for place in best.tolist()]
