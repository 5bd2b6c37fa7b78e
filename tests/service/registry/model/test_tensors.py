import numpy as np
import pytest

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, ModelManifest
from service.registry.model.tensors import Tensors


def _manifest(classes: list[str], *outputs: str) -> ModelManifest:
    return ModelManifest(
        task=TASK_CLASSIFICATION if classes else TASK_REGRESSION,
        classes=classes,
        inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        outputs=[{"name": name, "datatype": "FP32", "shape": [-1, max(1, len(classes))]} for name in outputs],
    )


def test_a_regression_gives_what_its_graph_gives() -> None:
    """No labels, and the manifest's own tensors."""
    tensors = Tensors.of(_manifest([], "y", "z"))
    assert (tensors.input_name, tensors.graph_names, tensors.label_name) == ("x", ("y", "z"), None)
    assert tensors.names == ("y", "z")
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in tensors.outputs] == [
        ("y", "FP32", [-1, 1]),
        ("z", "FP32", [-1, 1]),
    ]


def test_a_classification_gives_labels_last() -> None:
    """The labels are one more output, a column of words, after those of the graph."""
    tensors = Tensors.of(_manifest(["a", "b"], "y"))
    assert (tensors.graph_names, tensors.names) == (("y",), ("y", "label"))
    spec = tensors.outputs[-1]
    assert (spec.name, spec.datatype, list(spec.shape)) == ("label", "BYTES", [-1, 1])


@pytest.mark.parametrize(
    ("outputs", "name"), [(["label"], "label_"), (["label", "label_"], "label__"), (["label_"], "label")]
)
def test_the_labels_never_take_the_name_of_an_output(outputs: list[str], name: str) -> None:
    """Whatever the graph calls its outputs, each keeps its name."""
    tensors = Tensors.of(_manifest(["a", "b"], *outputs))
    assert tensors.label_name == name
    assert tensors.names == (*outputs, name)


def test_explanations_never_take_the_name_of_an_output() -> None:
    """A graph keeps its names; contributions, baseline and ground may be named if the version has them."""
    manifest = _manifest(["a", "b"], "contributions", "unknown_ground")
    assert Tensors.of(manifest).names == ("contributions", "unknown_ground", "label")
    manifest.attribution_graph.columns.extend(["x", "y", "z"])
    tensors = Tensors.of(manifest, has_ground=True)
    assert tensors.names == (
        "contributions",
        "unknown_ground",
        "label",
        "contributions_",
        "baseline",
        "unknown_ground_",
    )
    assert [spec.name for spec in tensors.outputs] == ["contributions", "unknown_ground", "label"]


def test_a_label_is_the_first_of_the_largest() -> None:
    """Ties go to the first class. A row with a NaN has the empty word, which may also be a class."""
    tensors = Tensors.of(_manifest(["", "ünï", "c"], "y"))
    nan = np.nan
    rows = np.array([[0.2, 0.4, 0.4], [1, 0, 0], [0.3, 0.3, 0.3], [nan, 1, 0], [1, 0, nan], [nan] * 3, [0, 0, 1]])
    assert tensors.labels(rows.astype(np.float32)) == ["ünï".encode(), b"", b"", b"", b"", b"", b"c"]
    assert tensors.labels(np.zeros((0, 3), np.float32)) == []
