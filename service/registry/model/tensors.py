"""The tensors of a model in the Open Inference Protocol: those of its graph, and those that come only where named.

The latter are the labels of a classification, the contributions of the columns with their baseline, and the cells on
unknown ground. The metadata lists the labels only: many clients name every output that the metadata lists, and
contributions cost as much as the answer, and may be too large for a message where the answer is not. If a graph has an
output of one of these names, the graph keeps it and the other gets a "_" at its end.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest, TensorSpec

_LABEL = "label"  # the name in converted scikit-learn classifiers
_CONTRIBUTIONS, _BASELINE, _UNKNOWN_GROUND = "contributions", "baseline", "unknown_ground"


@dataclass(frozen=True)
class Tensors:
    """Inputs and outputs of a version. Made once, because reading the manifest costs more than a small model's run.

    Attributes:
        input_name: Name of its one input.
        graph_names: Names of the outputs of its graph, in order.
        label_name: Name of the output with the labels of a classification; None for a regression. Its datatype is
            BYTES, its shape [rows, 1], because Triton's configuration wants a number of columns for every output.
        contributions_name: Name of the contributions, [rows, outputs, columns].
        baseline_name: Name of the explained values of the reference rows, [rows, outputs].
        ground_name: Name of the cells on unknown ground, BOOL [rows, columns].
        names: Names of all outputs that a request may name; those of the graph are first. Contributions and ground are
            among them if the version has them.
        outputs: Those of the graph and the labels, with types and shapes, as the metadata lists them.
        inputs: The input, as the metadata lists it: of a model of images [rows, channels, height, width].
        image_shape: Channels, height and width; empty for a model of no images.
    """

    input_name: str
    graph_names: tuple[str, ...]
    label_name: str | None
    contributions_name: str
    baseline_name: str
    ground_name: str
    names: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]
    inputs: tuple[TensorSpec, ...]
    image_shape: tuple[int, ...]
    _words: tuple[bytes, ...]

    @classmethod
    def of(cls, manifest: ModelManifest, *, has_ground: bool = False) -> Self:
        """The tensors of a version.

        Args:
            manifest: Of the version.
            has_ground: Whether it has histograms of the training rows.
        """
        graph_names, outputs = tuple(spec.name for spec in manifest.outputs), list(manifest.outputs)

        def free(name: str) -> str:
            while name in graph_names:
                name += "_"
            return name

        label_name: str | None = None
        words: tuple[bytes, ...] = ()
        if manifest.task == TASK_CLASSIFICATION:
            label_name = free(_LABEL)
            outputs.append(TensorSpec(name=label_name, datatype="BYTES", shape=[-1, 1]))
            words = (*(word.encode() for word in manifest.classes), b"")
        extra = {name: free(name) for name in (_CONTRIBUTIONS, _BASELINE, _UNKNOWN_GROUND)}
        names = [spec.name for spec in outputs]
        if manifest.HasField("attribution_graph"):
            names += [extra[_CONTRIBUTIONS], extra[_BASELINE]]
        if has_ground:
            names.append(extra[_UNKNOWN_GROUND])
        return cls(
            manifest.inputs[0].name,
            graph_names,
            label_name,
            extra[_CONTRIBUTIONS],
            extra[_BASELINE],
            extra[_UNKNOWN_GROUND],
            tuple(names),
            tuple(outputs),
            _inputs(manifest),
            tuple(manifest.image_shape),
            words,
        )

    def labels(self, probabilities: NDArray[Any]) -> list[bytes]:
        """For each row, the class with the largest probability.

        Args:
            probabilities: [rows, classes], the graph's first output.

        Returns:
            One class a row in UTF-8: the first one among equals; b"" if one of the row's numbers is NaN.
        """
        best = np.where(np.isnan(probabilities).any(axis=1), -1, probabilities.argmax(axis=1))
        return [self._words[place] for place in best.tolist()]


def _inputs(manifest: ModelManifest) -> tuple[TensorSpec, ...]:
    spec = manifest.inputs[0]
    shape = [-1, *manifest.image_shape] if manifest.image_shape else spec.shape
    return (TensorSpec(name=spec.name, datatype=spec.datatype, shape=shape),)
