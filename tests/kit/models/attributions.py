"""attribution.onnx for the small graphs: their outputs before the softmax are linear, so contributions are w · (x - r).

For a linear function these are the Shapley values (Shrikumar et al. 2017, section 3), and numpy knows them exactly.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from kan_api.v1 import manifest_pb2
from tests.kit.models import graphs
from tests.kit.models.graphs import Floats, constant
from tests.kit.models.repository import append_file, read_manifest, write_manifest

# The reference row of every kind's manifest, as long as it has features.
REFERENCE = np.array([0.5, -1.0, 2.0, 0.25], np.float32)


def add_attribution(folder: Path, max_rows: int = 32_768, kind: str | None = None) -> None:
    """Give a version of a kind of `graphs.KINDS` its attribution.onnx.

    Args:
        folder: The version. Its columns may be other than those of the kind, with as many features together.
        max_rows: Most rows of one run.
        kind: Its kind, if the model has another name.
    """
    manifest = read_manifest(folder)
    names = [column.name for column in manifest.columns]
    groups = np.array([[feature.column == name for name in names] for feature in manifest.features], np.float32)
    graph = attribution_model(kind or folder.parent.name, groups)
    (folder / "attribution.onnx").write_bytes(graph.SerializeToString())
    manifest.attribution_graph.CopyFrom(
        manifest_pb2.AttributionGraph(
            reference=REFERENCE[: len(manifest.features)].tolist(),
            columns=names,
            explains_scores=bool(manifest.classes),
            max_rows=max_rows,
        )
    )
    write_manifest(folder, manifest)
    append_file(folder, "attribution.onnx")


def contributions(kind: str, rows: Floats, reference: Floats | None = None) -> NDArray[np.float64]:
    """The right contributions, float64 [rows, outputs, columns]; by default of the manifest's reference row."""
    weights, _ = graphs.linear_part(kind)
    reference = REFERENCE[: rows.shape[1]] if reference is None else reference
    filled, base = (
        np.where(np.isnan(each), graphs.IMPUTED, each) if kind == "imputed" else each for each in (rows, reference)
    )
    return (filled.astype(np.float64) - base)[:, np.newaxis, :] * weights.T


def scores(kind: str, rows: Floats) -> NDArray[np.float64]:
    """What is explained, float64 [rows, outputs]: the answers, or the scores before the softmax."""
    weights, bias = graphs.linear_part(kind)
    filled = np.where(np.isnan(rows), graphs.IMPUTED, rows) if kind == "imputed" else rows
    return filled.astype(np.float64) @ weights + bias


def attribution_model(kind: str, groups: Floats) -> onnx.ModelProto:
    """The graph, by the contract of kan_api.v1.AttributionGraph.

    Args:
        kind: Of `graphs.KINDS`.
        groups: [features, columns], 1 where the feature belongs to the column.
    """
    return linear_attribution(*graphs.linear_part(kind), groups, imputes=kind == "imputed")


def linear_attribution(weights: Floats, bias: Floats, groups: Floats, *, imputes: bool = False) -> onnx.ModelProto:
    """The graph for rows · weights + bias.

    Args:
        weights: [features, outputs].
        bias: [outputs].
        groups: [features, columns], 1 where the feature belongs to the column.
        imputes: Whether NaN is replaced by `graphs.IMPUTED`.
    """
    features, outputs = weights.shape
    nodes, names = [], {}
    for name in ("features", "reference"):
        names[name] = name
        if imputes:
            names[name] = f"filled_{name}"
            nodes += [
                helper.make_node("IsNaN", [name], [f"missing_{name}"]),
                helper.make_node("Where", [f"missing_{name}", "fill", name], [names[name]]),
            ]
    nodes += [
        helper.make_node("Sub", [names["features"], names["reference"]], ["difference"]),
        helper.make_node("Unsqueeze", ["difference", "axis"], ["differences"]),
        helper.make_node("Mul", ["differences", "by_output"], ["by_feature"]),
        helper.make_node("MatMul", ["by_feature", "groups"], ["contributions"]),
        helper.make_node("Gemm", [names["features"], "w", "b"], ["explained"]),
        helper.make_node("Gemm", [names["reference"], "w", "b"], ["baseline"]),
    ]
    floats = {"w": weights, "b": bias, "by_output": weights.T[np.newaxis], "groups": groups, "fill": graphs.IMPUTED}
    shapes = {
        "features": ["rows", features],
        "reference": ["references", features],
        "contributions": ["rows", outputs, groups.shape[1]],
        "explained": ["rows", outputs],
        "baseline": ["references", outputs],
    }
    tensors = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        nodes,
        "attribution",
        [tensors["features"], tensors["reference"]],
        [tensors["contributions"], tensors["explained"], tensors["baseline"]],
        [*(constant(name, value, np.float32) for name, value in floats.items()), constant("axis", [1], np.int64)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model
