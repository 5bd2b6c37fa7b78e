"""attribution.onnx is the rule of contributions in float64, for all kinds of networks and rows."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, SymbolicEdge, mean_network, prune, with_monotone_inputs
from kan_model.analysis.contributions import Contributions, contributions
from kan_model.lowering.attribution import INPUT_NAMES, OUTPUT_NAMES, attribution_model, bytes_per_row
from kan_model.network.functions import FUNCTIONS
from kan_model.network.straight import straighten
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax
from kan_model.onnx_runtime import open_session

Rows = NDArray[np.float32]
Values = NDArray[np.float64]
# Two nodes of three factors in the hidden level, and one among the outputs.
PRODUCTS = (3, (2, 2), (1, 1))
MakeKAN = Callable[..., KAN]


def run(model: onnx.ModelProto, rows: Rows, reference: Rows) -> list[Rows]:
    """Contributions, explained values and baseline."""
    return open_session(model).run_named(OUTPUT_NAMES, dict(zip(INPUT_NAMES, (rows, reference), strict=True)))


def assert_as_in_float64(
    kan: KAN,
    rows: Rows,
    reference: Rows,
    inputs: InputTransform | None = None,
    outputs: OutputTransform | None = None,
) -> None:
    """Of both graphs: errors relative to the sum of a row's contributions or, if that is larger, to 1."""
    wanted = contributions(kan, torch.from_numpy(rows), torch.from_numpy(reference), inputs, outputs)
    for in_float64, bound in ((False, 5e-5), (True, 3e-7)):
        model = attribution_model(kan, inputs, outputs, range(rows.shape[1]), in_float64=in_float64)
        assert error(wanted, run(model, rows, reference)) < bound


def error(wanted: Contributions, got: list[Rows]) -> float:
    """The largest error of a graph's outputs and of their sum."""
    found, explained, baseline = (each.astype(np.float64) for each in got)
    size = np.maximum(np.abs(wanted.inputs.numpy()).sum(axis=2), 1)
    largest = np.maximum(size, np.abs(wanted.explained.numpy()))
    return max(
        float((np.abs(found - wanted.inputs.numpy()).max(axis=2) / size).max()),
        float((np.abs(explained - wanted.explained.numpy()) / largest).max()),
        float((np.abs(baseline - wanted.baseline.numpy()) / np.maximum(1, np.abs(wanted.baseline.numpy()))).max()),
        float((np.abs(found.sum(axis=2) - (explained - baseline)) / largest).max()),
    )


@pytest.mark.parametrize("width", [(3, 2), (3, 1), (3, 4, 1), (3, 4, 2), (2, 3, 12), (3, 4, 3, 2), PRODUCTS])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
def test_it_is_the_rule(
    make_kan: MakeKAN, rows_of_all_kinds: Callable[[KAN], Rows], width: tuple[int, ...], outside: str
) -> None:
    """One or several layers, products, few or many answers, both policies; with one reference row or one for each."""
    kan = make_kan(width, outside=outside, uneven=True, dtype=torch.float32, arity=3)
    rows = rows_of_all_kinds(kan)
    assert_as_in_float64(kan, rows, rows[:1])
    assert_as_in_float64(kan, rows, np.resize(rows[3:40], rows.shape))


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
@pytest.mark.parametrize("grid_size", [1, 8, 40])
def test_degrees_and_grids(make_kan: MakeKAN, degree: int, grid_size: int) -> None:
    """Every degree, one interval, and grids of several segments."""
    kan = make_kan((2, 3, 2), degree=degree, grid_size=grid_size, dtype=torch.float32)
    rows = np.random.default_rng(0).uniform(-2, 2, (50, 2)).astype(np.float32)
    wanted = contributions(kan, torch.from_numpy(rows), torch.from_numpy(rows[:1]))
    model = attribution_model(kan, None, None, range(2), in_float64=True)
    assert error(wanted, run(model, rows, rows[:1])) < 1e-6


@pytest.mark.parametrize("outputs", [Affine, Exponential, Softmax])
@pytest.mark.parametrize("answers", [1, 2])
def test_transforms(make_kan: MakeKAN, outputs: type[OutputTransform], answers: int) -> None:
    """Gaps are imputed and told, gap inputs are summed into their features, outputs are scaled, and exp is a step."""
    kan = make_kan((5, 3, answers), dtype=torch.float32)
    center, scale = np.linspace(-1, 1, 5, dtype=np.float32), np.linspace(0.5, 2, 5, dtype=np.float32)
    inputs = InputTransform(center, scale, np.array([0.1, 0.2, np.nan], dtype=np.float32), np.array([0, 1]))
    vectors = [np.linspace(0.3, 0.6, answers, dtype=np.float32) for _ in range(2)]
    transform = Softmax() if outputs is Softmax else outputs(*vectors)
    rows = np.random.default_rng(0).uniform(-1, 1, (40, 3)).astype(np.float32)
    rows[:20, 0] = np.nan
    rows[10:30, 1] = np.nan
    assert_as_in_float64(kan, rows, rows[-1:], inputs, transform)
    assert_as_in_float64(kan, rows, rows[::-1].copy(), inputs, transform)


def test_nan_that_is_not_imputed_gives_nan(make_kan: MakeKAN) -> None:
    """As in model.onnx: the row has no answer, and no other row is touched."""
    kan = make_kan((2, 3, 1), dtype=torch.float32)
    rows = np.array([[np.nan, 0.5], [0.2, 0.5]], dtype=np.float32)
    found, explained, _ = run(attribution_model(kan, None, None, range(2)), rows, rows[1:])
    assert np.isnan(explained[0]).all()
    assert np.isnan(found[0]).any()
    assert np.all(found[1] == 0)


def test_features_of_one_column_are_summed(make_kan: MakeKAN) -> None:
    """Columns may hold several features, in any order."""
    kan = make_kan((4, 3, 2), dtype=torch.float32)
    rows = np.random.default_rng(0).uniform(-1, 1, (9, 4)).astype(np.float32)
    single = run(attribution_model(kan, None, None, range(4)), rows, rows[:1])[0]
    summed = run(attribution_model(kan, None, None, [1, 0, 1, 2]), rows, rows[:1])[0]
    wanted = np.stack([single[..., 1], single[..., 0] + single[..., 2], single[..., 3]], axis=2)
    np.testing.assert_allclose(summed, wanted, atol=1e-6)


def test_another_number_of_columns_is_refused(make_kan: MakeKAN) -> None:
    """One column for each feature."""
    with pytest.raises(ValueError, match="columns has 2 entries; wanted one for each of 3 features"):
        attribution_model(make_kan((3, 1)), None, None, [0, 1])


def test_pruned_nodes(make_kan: MakeKAN) -> None:
    """Nodes without edges are left out; an input that nothing reads contributes 0, also where it is NaN."""
    kan = make_kan((3, 4, 2), dtype=torch.float32)
    kan.layers[0].edge_mask[:, 1] = 0
    kan.layers[0].edge_mask[2] = 0
    kan.layers[1].edge_mask[:, 0] = 0
    rows = np.random.default_rng(0).uniform(-1, 1, (30, 3)).astype(np.float32)
    assert_as_in_float64(kan, rows, rows[:1])
    pruned = prune(kan, torch.from_numpy(rows), edge_threshold=0.5, keep_inputs=True).kan
    assert_as_in_float64(pruned, rows, rows[:1])
    rows[:, 1] = np.nan
    found, explained, _ = run(attribution_model(kan, None, None, range(3)), rows, rows[:1])
    assert np.all(found[..., 1] == 0)
    assert np.isfinite(explained).all()


def test_a_constant_network_has_no_contributions(make_kan: MakeKAN) -> None:
    """All edges are pruned: every contribution is 0."""
    kan = make_kan((2, 3, 2), dtype=torch.float32)
    for layer in kan.layers:
        layer.edge_mask[:] = 0
    rows = np.random.default_rng(0).uniform(-1, 1, (3, 2)).astype(np.float32)
    found, explained, baseline = run(attribution_model(kan, None, None, range(2)), rows, rows[:1])
    assert np.all(found == 0)
    assert np.array_equal(explained, np.repeat(baseline, 3, axis=0))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_symbolic_edges(make_kan: MakeKAN, function: str) -> None:
    """Every function of the library, in the first layer and behind it, beside splines."""
    kan = make_kan((2, 3, 2), dtype=torch.float32)
    # Arguments between 0.2 and 0.8, where every function is defined.
    edges = [SymbolicEdge(o, i, function, 0.1, 0.5, 0.7, 0.2) for o, i in ((0, 0), (1, 0), (1, 1))]
    layers = [layer.with_symbolic(edges) for layer in kan.layers]
    rows = np.random.default_rng(0).uniform(-1, 1, (30, 2)).astype(np.float32)
    kan = KAN.of_layers(layers)
    if function.startswith("1/x^"):
        # Their slopes are so large that float32 products lose digits.
        model = attribution_model(kan, None, None, range(2), in_float64=True)
        wanted = contributions(kan, torch.from_numpy(rows), torch.from_numpy(rows[:1]))
        assert error(wanted, run(model, rows, rows[:1])) < 1e-6
    else:
        assert_as_in_float64(kan, rows, rows[:1])


def test_straight_edges_and_means_of_networks(make_kan: MakeKAN) -> None:
    """Edges that are lines, and the mean of several networks as one network."""
    kan = make_kan((3, 4, 2), dtype=torch.float32)
    low, high = torch.tensor([0.0, torch.nan, 0.0]), torch.tensor([1.0, torch.nan, 0.5])
    straight = KAN.of_layers([straighten(kan.layers[0], low, high), kan.layers[1]])
    rows = np.random.default_rng(0).uniform(-1, 1, (30, 3)).astype(np.float32)
    assert_as_in_float64(straight, rows, rows[:1])
    assert_as_in_float64(mean_network([kan, make_kan((3, 4, 2), seed=1, dtype=torch.float32)]), rows, rows[:1])


def test_small_differences_of_hidden_nodes_keep_their_digits(make_kan: MakeKAN) -> None:
    """Two large contributions that almost cancel in a hidden node: their slope is that of the node, not of rounding."""
    kan = make_kan((2, 3, 1), dtype=torch.float32)
    reference = np.array([[0.1, 0.2]], dtype=np.float32)
    for exponent in range(1, 9):
        rows = reference + np.array([[10.0**-exponent, -(10.0**-exponent)]], dtype=np.float32)
        wanted = contributions(kan, torch.from_numpy(rows), torch.from_numpy(reference)).inputs.numpy()
        found = run(attribution_model(kan, None, None, range(2)), rows, reference)[0]
        # The first layer's differences are of float32; the slopes behind it are exact all the same.
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("in_float64", [False, True])
def test_memory_counts_the_line_of_edges_with_a_direction(make_kan: MakeKAN, in_float64: bool) -> None:
    """As many functions more as the graph has: one for each input."""
    free = make_kan((30, 2), dtype=torch.float32)
    directed = with_monotone_inputs(free, (1,) * 15 + (0,) * 15, (1, 1))
    more = written_functions(directed, in_float64=in_float64) - written_functions(free, in_float64=in_float64)
    assert more == 30
    counted = bytes_per_row(directed, in_float64=in_float64) - bytes_per_row(free, in_float64=in_float64)
    assert counted >= more * (8 if in_float64 else 4)


def written_functions(kan: KAN, *, in_float64: bool) -> int:
    """Functions of all inputs of a network of one layer, by the shapes of ONNX."""
    model = attribution_model(kan, None, None, range(kan.width[0]), in_float64=in_float64)
    (node,) = [node for node in model.graph.node if node.output[0] == "layer0/functions"]
    shapes = {
        info.name: info.type.tensor_type.shape for info in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    return int(shapes[node.output[0]].dim[1].dim_value)


@pytest.mark.parametrize("in_float64", [False, True])
@pytest.mark.parametrize("width", [(30, 2), (40, 30, 1), (40, 30, 12)])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
def test_memory_is_counted_from_above(
    make_kan: MakeKAN, width: tuple[int, ...], outside: str, in_float64: bool
) -> None:
    """No fewer bytes than the largest value of the graph and the differences that are kept, by the shapes of ONNX."""
    kan = make_kan(width, outside=outside, dtype=torch.float32)
    model = attribution_model(kan, None, None, range(width[0]), in_float64=in_float64)
    sizes = []
    for info in onnx.shape_inference.infer_shapes(model).graph.value_info:
        tensor = info.type.tensor_type
        numbers = int(np.prod([max(1, dim.dim_value) for dim in tensor.shape.dim]))
        has_rows = any(dim.dim_value == 0 for dim in tensor.shape.dim)
        sizes.append(numbers * (8 if tensor.elem_type == onnx.TensorProto.DOUBLE else 4) * has_rows)
    assert max(sizes) < bytes_per_row(kan, in_float64=in_float64) < sum(sizes) * 2
