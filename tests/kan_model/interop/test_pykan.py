"""A network of pykan gives the same answers here, or is refused."""

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kan_model import FUNCTIONS, KAN
from kan_model.interop import InteropError, from_pykan, load_pykan_checkpoint
from kan_model.lowering import lower
from kan_model.network import checkpoint
from kan_model.onnx_runtime import open_session

with warnings.catch_warnings():
    # Its docstrings hold backslashes, of which Python warns when it compiles them.
    warnings.filterwarnings("ignore", "invalid escape sequence", SyntaxWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
    import kan as pykan


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for pykan, whose networks write ./model into the working folder, also with auto_save=False."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    return tmp_path


def _rows(inputs: int, count: int = 200) -> Tensor:
    return torch.rand(count, inputs, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _trained(width: Sequence[int], *, steps: int = 3, rows: Tensor | None = None, **options: Any) -> Any:
    """A network after some steps of LBFGS, which also make its grids follow the data."""
    rows = _rows(width[0]) if rows is None else rows
    model = pykan.KAN(width=list(width), seed=0, auto_save=False, **({"grid": 5} | options))
    label = torch.sin(3 * rows[:, :1]) * rows[:, 1:2] + torch.arange(width[-1]) * rows[:, :1] ** 2
    data = {"train_input": rows, "train_label": label, "test_input": rows, "test_label": label}
    model.fit(data, steps=steps)
    return model


def _points(model: Any, inputs: int) -> Tensor:
    """float32 rows inside the first grids, on all of their knots, at the ends and far outside."""
    columns = model.input_id.tolist()
    grid = model.act_fun[0].grid.detach().float()
    k = model.act_fun[0].k
    low, high = grid[:, k], grid[:, -k - 1]
    near = low + (high - low) * (_rows(len(columns), 150) / 2 + 0.5)
    far = (low + high) / 2 + 3 * (high - low) * _rows(len(columns), 100)
    ends = torch.stack([low, high, 100 * low, 1000 * high])
    points = torch.zeros(len(near) + len(grid.T) + len(far) + len(ends), inputs)
    points[:, columns] = torch.cat([near, grid.T, far, ends])
    return points


def _assert_same(model: Any, kan: KAN, *, lowered: bool = False) -> None:
    """Within 1e-5 of the range, in the network's own type and in float64; if asked, by onnxruntime within 2e-5.

    The lowering keeps its tolerance of 1e-5 on the rows that it measures itself. On the rows here float32 rounds
    differently, by errors of the same size. pykan's fit is not the same in every process, so neither is the network.
    """
    points = _points(model, kan.width[0])
    with torch.no_grad():
        own, ours = model(points.to(kan.dtype)), kan(points.to(kan.dtype))
        # In place: pykan's networks cannot be copied after pruning.
        expected = model.double()(points.double())
    inside = expected[:150]
    size = torch.maximum(inside.amax(dim=0) - inside.amin(dim=0), expected.abs())
    size[:150] = inside.amax(dim=0) - inside.amin(dim=0)
    assert ours.dtype == own.dtype
    assert ((ours - own).abs() <= 1e-5 * size).all()
    assert ((ours - expected).abs() <= 1e-5 * size).all()
    if lowered:
        graph = lower(kan, tune_for=())
        assert graph.report.max_relative_error <= 1e-5
        (answers,) = open_session(graph.model).run(points.numpy())
        np.testing.assert_array_less(np.abs(answers - expected.numpy()), 2e-5 * size.numpy())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "options"),
    [
        ([3, 4, 1], {}),
        ([2, 3, 2], {"grid": 3, "k": 1}),
        ([2, 2, 2, 1], {"grid": 10, "k": 2, "grid_eps": 0.5}),
        ([2, 2], {"grid": [4], "k": [5], "grid_range": [-2, 3]}),
    ],
)
def test_a_trained_network_answers_the_same(width: list[int], options: dict[str, Any]) -> None:
    """Grids, knots, ends and outside, several layers and degrees; and so does its ONNX model."""
    model = _trained(width, **options)
    kan = from_pykan(model)
    assert kan.width == tuple(width)
    assert {(layer.outside, layer.grid_size, layer.degree) for layer in kan.layers} == {
        ("decay", model.act_fun[0].num, model.act_fun[0].k)
    }
    _assert_same(model, kan, lowered=True)


def test_layers_may_differ_in_grid_and_degree() -> None:
    """Each layer may have its own grid size and degree."""
    model = pykan.KAN(width=[2, 3, 2], grid=[4, 7], k=[2, 4], seed=1, auto_save=False)
    kan = from_pykan(model)
    assert [(layer.grid_size, layer.degree) for layer in kan.layers] == [(4, 2), (7, 4)]
    _assert_same(model, kan)


@pytest.mark.parametrize("grid", [3, 10, 50])
def test_uniform_grids_stay_uniform(grid: int) -> None:
    """Those of a new network are uniform but for rounding, so that the closed form applies; others keep their knots."""
    model = pykan.KAN(width=[2, 3, 1], grid=grid, k=3, seed=1, auto_save=False)
    kan = from_pykan(model)
    assert [layer.knots for layer in kan.layers] == [None, None]
    _assert_same(model, kan)
    model.float().update_grid(_rows(2) ** 3)
    knots = [layer.knots for layer in from_pykan(model).layers]
    for layer, found in zip(model.act_fun, knots, strict=True):
        assert found is not None
        assert torch.equal(found, layer.grid)


def test_grids_that_rounding_makes_uneven_keep_their_knots() -> None:
    """Far from zero float32 is too coarse for the intervals; in float64 what float32 has rounded is not uniform."""
    far = pykan.KAN(width=[1, 1], grid=20, k=3, grid_range=[100, 101], auto_save=False)
    double = pykan.KAN(width=[1, 1], grid=20, k=3, auto_save=False).double()
    for model in (far, double):
        (layer,) = from_pykan(model).layers
        assert layer.knots is not None
        assert torch.equal(layer.knots, model.act_fun[0].grid)


def test_layers_that_pykan_added_are_taken_over() -> None:
    """Their scales are in its lists and not in its state dict."""
    model = pykan.KAN(width=[2, 2, 1], grid=3, k=3, mult_arity=[[], [], []], auto_save=False)
    model.expand_depth()
    model.node_bias[2].data += 0.5
    kan = from_pykan(model)
    assert kan.width == (2, 2, 1, 1)
    _assert_same(model, kan)


def test_a_float64_network_stays_float64() -> None:
    """Answers agree to float64's precision."""
    model = _trained([2, 3, 1]).double()
    kan = from_pykan(model)
    assert kan.dtype == torch.float64
    points = _points(model, 2).double()
    with torch.no_grad():
        torch.testing.assert_close(kan(points), model(points), atol=1e-12, rtol=1e-12)


def test_masks_scales_and_biases_are_taken_over() -> None:
    """Masks that are no 0 or 1, nodes and subnodes with scales and biases; edges that are masked are not there."""
    model = _trained([3, 4, 2])
    random = torch.Generator().manual_seed(1)
    for parts, least in (
        (model.node_scale, 0.5),
        (model.subnode_scale, -1.5),
        (model.node_bias, 0),
        (model.subnode_bias, 0),
    ):
        for parameter in parts:
            parameter.data = least + torch.rand(parameter.shape, generator=random)
    for layer in model.act_fun:
        layer.mask.data = torch.randint(0, 3, layer.mask.shape, generator=random) / 2
    kan = from_pykan(model)
    for ours, theirs in zip(kan.layers, model.act_fun, strict=True):
        assert torch.equal(ours.active_edges, theirs.mask.T != 0)
    _assert_same(model, kan, lowered=True)


def test_a_sparse_start_is_a_mask() -> None:
    """Edges that pykan's sparse_init leaves out are not there."""
    model = pykan.KAN(width=[3, 5, 2], grid=4, k=3, seed=1, sparse_init=True, auto_save=False)
    kan = from_pykan(model)
    assert 0 < kan.layers[0].active_edges.sum() < 15
    _assert_same(model, kan)


def test_a_pruned_network_answers_the_same() -> None:
    """Nodes that prune_node removed are gone, edges that prune_edge and remove_edge removed are not there."""
    model = _trained([3, 5, 2]).prune_node(active_neurons_id=[[0, 2, 3]])
    model(_rows(3))
    model.attribute()
    model.prune_edge(threshold=0.1)
    model.remove_edge(0, 1, 2)
    kan = from_pykan(model)
    assert kan.width == (3, 3, 2)
    assert not kan.layers[0].active_edges[2, 1]
    _assert_same(model, kan, lowered=True)


def test_prune_keeps_the_function() -> None:
    """Nodes and edges by their scores, all in one."""
    model = _trained([2, 4, 1]).prune(node_th=0.05, edge_th=0.05)
    _assert_same(model, from_pykan(model))


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "width"), [(None, 3), (5, 5)])
def test_columns_that_pruning_left_out_have_no_edges(inputs: int | None, width: int) -> None:
    """The network reads the rows that the model reads, in the order of its input_id."""
    model = _trained([4, 3, 1]).prune_input(active_inputs=[2, 0])
    model.symbolic_fun[0].fix_symbolic(0, 1, "sin")
    model.set_mode(0, 0, 1, "s")
    kan = from_pykan(model, inputs=inputs)
    assert kan.width == (width, 3, 1)
    assert kan.layers[0].active_edges.any(dim=0).nonzero().flatten().tolist() == [0, 2]
    assert [edge.input for edge in kan.layers[0].symbolic] == [2]
    _assert_same(model, kan, lowered=True)


def test_too_few_columns_and_columns_twice_are_refused() -> None:
    """What the model reads has to be there; one column cannot be two nodes."""
    model = _trained([4, 3, 1]).prune_input(active_inputs=[2, 0])
    with pytest.raises(InteropError, match="column 2"):
        from_pykan(model, inputs=2)
    model.input_id = torch.tensor([1, 1])
    with pytest.raises(InteropError, match=r"\[1, 1\]"):
        from_pykan(model)


def test_a_refined_network_answers_the_same() -> None:
    """A network refined in pykan is imported with its finer grid."""
    model = _trained([2, 3, 1])
    model.get_act(_rows(2))
    refined = model.refine(12)
    kan = from_pykan(refined)
    assert [layer.grid_size for layer in kan.layers] == [12, 12]
    _assert_same(refined, kan)


def test_a_constant_column_is_taken_over() -> None:
    """Its grid becomes one point, where pykan's splines are zero and its base branch is left."""
    rows = _rows(3)
    rows[:, 2] = 0.75
    model = _trained([3, 2, 1], rows=rows)
    grid = model.act_fun[0].grid[2]
    assert (grid == grid[0]).all()
    model.act_fun[0].coef.data[2] = 1.0
    kan = from_pykan(model)
    assert torch.isfinite(kan.layers[0].all_knots()).all()
    _assert_same(model, kan, lowered=True)


def _symbolic_model() -> Any:
    """Trained; one edge fitted, some set by hand, one of them a constant."""
    model = _trained([3, 3, 1])
    model(_rows(3))
    model.fix_symbolic(0, 0, 0, "arctan", verbose=False)
    random = torch.Generator().manual_seed(0)
    for (input_, output), name in _BY_HAND.items():
        model.fix_symbolic(0, input_, output, name, fit_params_bool=False)
        model.symbolic_fun[0].affine.data[output, input_] = torch.rand(4, generator=random) - 0.5
    model.symbolic_fun[0].affine.data[1, 2, 3] = 0.375
    return model


_BY_HAND = {(1, 1): "gaussian", (2, 2): "x^3", (0, 2): "x", (1, 2): "tanh", (2, 1): "0"}


def test_symbolic_edges_are_taken_over() -> None:
    """c·f(a·x + b) + d under masks and scales; a constant goes to the node's bias."""
    model = _symbolic_model()
    model.symbolic_fun[0].mask.data[0, 0] = 0.5
    model.subnode_scale[0].data = torch.tensor([1.0, -2.0, 0.5])
    model.node_bias[0].data = torch.tensor([0.0, 0.25, 0.0])
    kan = from_pykan(model)
    first = kan.layers[0]
    found = {(edge.input, edge.output): edge.function for edge in first.symbolic}
    assert found == {place: name for place, name in _BY_HAND.items() if name != "0"} | {(0, 0): "arctan"}
    assert first.bias is not None
    assert first.bias.tolist() == [0.0, 0.25 - 2 * 0.375, 0.0]
    assert not first.active_edges[1, 2]
    assert kan.layers[1].bias is None
    _assert_same(model, kan, lowered=True)


def test_auto_symbolic_is_taken_over() -> None:
    """Every edge a formula."""
    model = _trained([2, 1, 1])
    model(_rows(2))
    model.auto_symbolic(lib=["x", "sin"], verbose=0)
    kan = from_pykan(model)
    assert [len(layer.symbolic) for layer in kan.layers] == [2, 1]
    rows = 3 * _rows(2)
    torch.testing.assert_close(kan(rows), model(rows), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", pykan.utils.SYMBOLIC_LIB)
def test_functions_are_pykans(name: str) -> None:
    """Each function of its library, where it is finite and where it is not; what is missing here is refused."""
    model = pykan.KAN(width=[1, 1], grid=3, k=3, auto_save=False)
    model.fix_symbolic(0, 0, 0, name, fit_params_bool=False)
    if name in {"1/x^3", "1/x^4", "1/x^5", "x^1.5"} - FUNCTIONS.keys():
        with pytest.raises(InteropError, match=r"input 0 .*function"):
            from_pykan(model)
        return
    x = torch.linspace(-2, 2, 41).unsqueeze(1)
    torch.testing.assert_close(from_pykan(model)(x), model(x), equal_nan=True, atol=1e-6, rtol=1e-5)


def test_a_symbolic_part_that_is_switched_off_is_left_out() -> None:
    """It is skipped then, whatever its masks say; edges that were symbolic are nothing."""
    model = _symbolic_model()
    model.symbolic_enabled = False
    kan = from_pykan(model)
    assert kan.layers[0].symbolic == ()
    _assert_same(model, kan)


def test_no_base_branch_is_taken_over() -> None:
    """The base function "zero"."""
    model = pykan.KAN(width=[2, 2, 1], grid=5, k=3, base_fun="zero", auto_save=False)
    kan = from_pykan(model)
    assert all((layer.base_weight == 0).all() for layer in kan.layers)
    _assert_same(model, kan)


def _both_parts(model: Any) -> None:
    model.fix_symbolic(0, 1, 2, "sin", fit_params_bool=False)
    model.set_mode(0, 1, 2, "sn")


def _change(name: str, value: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        part, _, attribute = name.rpartition(".")
        setattr(model.act_fun[1] if part else model, attribute, value)

    return change


def _knots_that_meet(model: Any) -> None:
    model.act_fun[1].grid.data[2, 4] = model.act_fun[1].grid.data[2, 5]


def _large_bias(model: Any) -> None:
    model.node_scale[1].data[:], model.subnode_bias[1].data[:] = 1e30, 1e30


def _nan(model: Any) -> None:
    model.act_fun[1].coef.data[0, 0, :3] = torch.nan


def _unknown_function(model: Any) -> None:
    model.fix_symbolic(1, 2, 0, torch.erf, fit_params_bool=False)
    model.symbolic_fun[1].funs_name[0][2] = "erf"


def _names_swapped(model: Any) -> None:
    model.fix_symbolic(1, 0, 0, "sin", fit_params_bool=False)
    model.fix_symbolic(1, 1, 0, "exp", fit_params_bool=False)
    model.swap(1, 0, 1, log_history=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_both_parts, "input 1 .*spline and sin"),
        (_unknown_function, "input 2 .*'erf'"),
        (lambda model: model.fix_symbolic(1, 2, 0, torch.sinh, fit_params_bool=False), "layer 1, .* 'anonymous'"),
        (_names_swapped, "named (sin|exp) and computes"),
        (_change("act.base_fun", nn.Identity()), r"layer 1: .*Identity\(\); wanted silu"),
        (_large_bias, "a bias .*too large"),
        (_knots_that_meet, "layer 1: .*feature 2 .*increasing"),
        (_nan, r"3 of 24 .*act_fun\.1\.coef"),
        (lambda model: model.half(), r"act_fun\.0\.coef is torch\.float16"),
        (_change("act.mask", nn.Parameter(torch.ones(2, 1))), r"mask .*\[2, 1\]"),
    ],
)
def test_what_has_no_like_here_is_refused(change: Callable[[Any], None], message: str) -> None:
    """By layer and name, with what was found."""
    model = pykan.KAN(width=[2, 3, 1], grid=5, k=3, seed=1, auto_save=False)
    change(model)
    with pytest.raises(InteropError, match=message):
        from_pykan(model)


@pytest.mark.parametrize(("arity", "wanted"), [(2, 2), (3, 3), ([[], [2, 3], [], []], 5)])
def test_nodes_that_multiply_are_taken_over(folder: Path, arity: int | list[list[int]], wanted: int) -> None:
    """With one arity for all or one for each, scaled and shifted sums, from the model and from its files."""
    width = [2, [2, 2], [1, 0], 1] if isinstance(arity, list) else [2, [2, 1], [1, 2], 1]
    model = pykan.KAN(width=width, grid=3, k=3, mult_arity=arity, seed=1, auto_save=False)
    generator = torch.Generator().manual_seed(0)
    for index in range(3):
        for parts in (model.node_scale, model.subnode_scale, model.subnode_bias):
            parts[index].data = torch.rand(len(parts[index]), generator=generator) + 0.5
    model.node_bias[0].data[:2] = torch.tensor([0.25, -0.5])
    kan = from_pykan(model)
    assert kan.width == (2, *(plain + multiplying for plain, multiplying in model.width[1:]))
    assert kan.layers[0].sums == 2 + wanted
    model.saveckpt(str(folder / "saved"))
    again = load_pykan_checkpoint(folder / "saved")
    x = _rows(2)
    assert torch.equal(again(x), kan(x))
    _assert_same(model, kan)


def test_a_float64_model_is_left_as_it_is() -> None:
    """With and without products: not a number of it changes, so a second conversion is the same."""
    for width in ([2, 3, 1], [2, [1, 2], 1]):
        model = pykan.KAN(width=width, grid=3, k=3, seed=1, auto_save=False).double()
        for parts in (model.node_scale, model.subnode_scale):
            parts[0].data[:] = 2.0
        model.node_bias[0].data[0] = 0.5
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        x = _rows(2).double()
        assert torch.equal(from_pykan(model)(x), from_pykan(model)(x))
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_product_with_a_bias_is_refused() -> None:
    """With the layer and the node: a layer here adds biases before it multiplies."""
    model = pykan.KAN(width=[2, [1, 1], 1], grid=3, k=3, auto_save=False)
    model.node_bias[0].data[1] = 0.5
    with pytest.raises(InteropError, match=r"layer 0: node 1 multiplies and has the bias 0\.5"):
        from_pykan(model)


def test_too_many_factors_are_refused() -> None:
    """More than a node can have here."""
    model = pykan.KAN(width=[2, [1, 1], 1], grid=3, k=3, mult_arity=9, auto_save=False)
    with pytest.raises(InteropError, match="a node of 9 factors; wanted 8 at most"):
        from_pykan(model)


def test_something_else_is_refused() -> None:
    """A torch module that is no pykan network."""
    with pytest.raises(InteropError, match="Linear without act_fun"):
        from_pykan(nn.Linear(2, 1))


def test_the_model_is_left_as_it_is() -> None:
    """No number changes, and none is shared with the network."""
    model = _trained([2, 2, 1])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kan = from_pykan(model)
    with torch.no_grad():
        for parameter in [*kan.parameters(), *kan.buffers()]:
            parameter += 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("enabled", [True, False])
def test_a_checkpoint_is_read_without_pykan(folder: Path, monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
    """The same network to the bit, symbolic edges and masks too."""
    model = _symbolic_model()
    model.symbolic_enabled = enabled
    model.saveckpt("saved")
    monkeypatch.setitem(sys.modules, "kan", None)
    assert checkpoint.to_bytes(load_pykan_checkpoint(folder / "saved")) == checkpoint.to_bytes(from_pykan(model))


def test_a_checkpoint_after_prune_input_has_the_inputs_that_are_left(folder: Path) -> None:
    """The base function is written as a Python object then, which pykan cannot read; none is made here."""
    model = _trained([4, 3, 1]).prune_input(active_inputs=[2, 0])
    model.saveckpt("saved")
    assert "!!python/object" in (folder / "saved_config.yml").read_text()
    kan = load_pykan_checkpoint("saved")
    assert kan.width == (2, 3, 1)
    rows = _rows(4)
    torch.testing.assert_close(kan(rows[:, [2, 0]]), model(rows), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("width: [", "saved_config.yml: not YAML"),
        ("- 1", "saved_config.yml: holds a list"),
        ("epochs: 3", "saved_config.yml: .*KeyError"),
        ("identity", "'identity'; wanted silu"),
        ("deeper", "saved: layer 1 has outputs for 1 sums, and its width says 2 nodes that add"),
    ],
)
def test_configurations_of_something_else_are_refused(folder: Path, config: str, message: str) -> None:
    """With the file."""
    model = pykan.KAN(width=[2, 2, 1], grid=3, k=3, base_fun="silu", auto_save=False)
    model.saveckpt("saved")
    path = folder / "saved_config.yml"
    written = path.read_text()
    texts = {
        "identity": written.replace("silu", "identity"),
        "deeper": written.replace("width:\n", "width:\n- - 2\n  - 0\n") + "symbolic.funs_name.2: []\n",
    }
    path.write_text(texts.get(config, config))
    with pytest.raises(InteropError, match=message):
        load_pykan_checkpoint("saved")


def test_missing_files_and_a_missing_reader_are_said_to_be_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FileNotFoundError for files, the command for PyYAML."""
    with pytest.raises(FileNotFoundError):
        load_pykan_checkpoint("none")
    pykan.KAN(width=[1, 1], auto_save=False).saveckpt("saved")
    (folder / "saved_state").unlink()
    with pytest.raises(FileNotFoundError):
        load_pykan_checkpoint("saved")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pyyaml"):
        load_pykan_checkpoint("saved")
