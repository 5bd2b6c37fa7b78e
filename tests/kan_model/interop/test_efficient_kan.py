"""A network of efficient-kan gives the same answers here, or is refused."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from kan_model import KAN
from kan_model.interop import InteropError, from_efficient_kan, load_efficient_kan_checkpoint
from kan_model.lowering import lower
from kan_model.onnx_runtime import open_session

State = dict[str, Tensor]


def _grid(inputs: int, grid_size: int, order: int, uneven: bool) -> Tensor:
    """As efficient-kan starts it, or as its update_grid leaves it: a blend of quantiles and a uniform grid."""
    if not uneven:
        return (torch.arange(-order, grid_size + order + 1) * (2 / grid_size) - 1).expand(inputs, -1).contiguous()
    rows = torch.sort(torch.randn(100, inputs, generator=torch.Generator().manual_seed(3)), dim=0).values
    adaptive = rows[torch.linspace(0, 99, grid_size + 1, dtype=torch.int64)]
    step = (rows[-1] - rows[0] + 0.02) / grid_size
    uniform = torch.arange(grid_size + 1).unsqueeze(1) * step + rows[0] - 0.01
    grid = 0.02 * uniform + 0.98 * adaptive
    outwards = torch.arange(1, order + 1).unsqueeze(1)
    return torch.cat([grid[:1] - step * outwards.flip(0), grid, grid[-1:] + step * outwards]).T.contiguous()


def _state(
    width: tuple[int, ...] = (3, 4, 2), grid_size: int = 5, order: int = 3, *, uneven: bool = False, scaler: bool = True
) -> State:
    """A state dict with the names and shapes that efficient-kan publishes."""
    random = torch.Generator().manual_seed(0)
    state = {}
    for index, (inputs, outputs) in enumerate(pairwise(width)):
        name = f"layers.{index}."
        state[name + "base_weight"] = torch.randn(outputs, inputs, generator=random)
        state[name + "spline_weight"] = torch.randn(outputs, inputs, grid_size + order, generator=random)
        if scaler:
            state[name + "spline_scaler"] = torch.randn(outputs, inputs, generator=random)
        state[name + "grid"] = _grid(inputs, grid_size, order, uneven)
    return state


def _b_splines(x: Tensor, grid: Tensor, order: int) -> Tensor:
    """The basis by the recursion of Cox and de Boor, as efficient-kan's b_splines has it."""
    x = x.unsqueeze(-1)
    bases = ((x >= grid[:, :-1]) & (x < grid[:, 1:])).to(x.dtype)
    for k in range(1, order + 1):
        rising = (x - grid[:, : -(k + 1)]) / (grid[:, k:-1] - grid[:, : -(k + 1)]) * bases[:, :, :-1]
        falling = (grid[:, k + 1 :] - x) / (grid[:, k + 1 :] - grid[:, 1:(-k)]) * bases[:, :, 1:]
        bases = rising + falling
    return bases


def _answers(state: Mapping[str, Tensor], x: Tensor, order: int) -> Tensor:
    """efficient-kan's forward pass in x's type, layer after layer."""
    for index in range(sum(name.endswith("base_weight") for name in state)):
        grid, base, spline = (
            state[f"layers.{index}.{name}"].to(x) for name in ("grid", "base_weight", "spline_weight")
        )
        scaler = state.get(f"layers.{index}.spline_scaler")
        if scaler is not None:
            spline = spline * scaler.to(x).unsqueeze(-1)
        x = linear(silu(x), base) + linear(_b_splines(x, grid, order).flatten(1), spline.flatten(1))
    return x


def _points(state: State) -> tuple[Tensor, int]:
    """float32 rows inside the first grid, how many these are, and rows on its knots and far outside."""
    grid = state["layers.0.grid"]
    order = grid.shape[1] - state["layers.0.spline_weight"].shape[2] - 1
    low, high = grid[:, order], grid[:, -order - 1]
    share = torch.rand(200, len(grid), generator=torch.Generator().manual_seed(1))
    near = low + (high - low) * share
    far = (low + high) / 2 + 6 * (high - low) * (share - 0.5)
    return torch.cat([near, grid.T, far, 1000 * far[:3]]), len(near)


@pytest.mark.parametrize("scaler", [False, True])
@pytest.mark.parametrize(("grid_size", "order"), [(5, 3), (1, 1), (8, 2), (3, 5), (20, 4)])
@pytest.mark.parametrize("uneven", [False, True])
def test_a_network_answers_the_same(grid_size: int, order: int, uneven: bool, scaler: bool) -> None:
    """Inside the grids, on knots, at the ends and outside, within 1e-5 of the range, in float32 and in float64."""
    state = _state(grid_size=grid_size, order=order, uneven=uneven, scaler=scaler)
    kan = from_efficient_kan(state)
    assert kan.width == (3, 4, 2)
    assert kan.dtype == torch.float32
    for layer in kan.layers:
        assert (layer.grid_size, layer.degree, layer.outside) == (grid_size, order, "decay")
        assert uneven or layer.knots is None
    points, inside = _points(state)
    expected = _answers(state, points.double(), order)
    size = torch.maximum(expected[:inside].amax(dim=0) - expected[:inside].amin(dim=0), expected.abs())
    assert ((kan(points) - expected).abs() <= 1e-5 * size).all()
    double = {name: tensor.double() for name, tensor in state.items()}
    kan = from_efficient_kan(double)
    assert kan.dtype == torch.float64
    torch.testing.assert_close(kan(points.double()), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("uneven", [False, True])
def test_its_onnx_model_answers_the_same(uneven: bool) -> None:
    """In onnxruntime, against the formula in float64."""
    state = _state(uneven=uneven)
    points, inside = _points(state)
    expected = _answers(state, points.double(), 3).numpy()
    (got,) = open_session(lower(from_efficient_kan(state), tune_for=()).model).run(points.numpy())
    size = np.maximum(np.ptp(expected[:inside], axis=0), np.abs(expected))
    np.testing.assert_array_less(np.abs(got - expected), 1e-5 * size)


def _prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def _equal(kan: KAN, other: KAN) -> bool:
    ours, theirs = kan.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_are_looked_through(prefix: str) -> None:
    """The prefixes of DataParallel, of torch.compile and of both are removed."""
    assert _equal(from_efficient_kan(_prefixed(prefix, _state())), from_efficient_kan(_state()))


def test_a_kan_inside_a_larger_model_is_taken_by_its_prefix() -> None:
    """A KAN inside a larger model needs its prefix, because the rest would be lost; the message says so."""
    state = _prefixed("head.kan.", _state()) | {"encoder.weight": torch.ones(3, 3), "layers.0.bias": torch.ones(2)}
    assert _equal(from_efficient_kan(state, prefix="head.kan."), from_efficient_kan(_state()))
    told = r"no layer of efficient-kan in head\.kan\..* and 4 more; .*prefix, here head\.kan\.$"
    with pytest.raises(InteropError, match=told):
        from_efficient_kan(state)
    with pytest.raises(InteropError, match=r"here head\.kan\.$"):
        from_efficient_kan(_prefixed("head.kan.", _state()), prefix="body.")
    with pytest.raises(InteropError, match=r"norm\.weight"):
        from_efficient_kan(_state() | {"norm.weight": torch.ones(3)})


class _Layer(nn.Module):
    """The parts of efficient-kan's layer that an importer may read."""

    def __init__(self, tensors: State, activation: nn.Module) -> None:
        super().__init__()
        self.base_activation = activation
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)


def _module(activation: nn.Module) -> nn.Module:
    state, module = _state(), nn.Module()
    layers = [
        _Layer({name.removeprefix(start): each for name, each in state.items() if name.startswith(start)}, activation)
        for start in ("layers.0.", "layers.1.")
    ]
    module.layers = nn.ModuleList(layers)
    return module


def test_a_module_is_taken_over_and_asked_for_its_activation() -> None:
    """A module is imported if its activation is SiLU, also inside a larger model; otherwise the layer is named."""
    assert _equal(from_efficient_kan(_module(nn.SiLU())), from_efficient_kan(_state()))
    larger = nn.Sequential(nn.Linear(3, 3), _module(nn.SiLU()))
    assert _equal(from_efficient_kan(larger, prefix="1."), from_efficient_kan(_state()))
    with pytest.raises(InteropError, match=r"GELU.*; wanted SiLU"):
        from_efficient_kan(_module(nn.GELU()))


def _without(name: str) -> Callable[[State], None]:
    def change(state: State) -> None:
        del state[name]

    return change


def _set(name: str, index: Any, value: float) -> Callable[[State], None]:
    def change(state: State) -> None:
        state[name][index] = value

    return change


def _replace(name: str, value: Any) -> Callable[[State], None]:
    return lambda state: state.update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("layers.1.base_weight"), r"base_weight is missing.* \[2, 4\]"),
        (
            _set("layers.1.spline_weight", (0, 1, slice(3)), torch.nan),
            r"3 of 64 .*layers\.1\.spline_weight",
        ),
        (_set("layers.0.grid", (1, 4), -1.0), r"layer 0: .*feature 1 .*increasing"),
        (
            _replace("layers.1.grid", torch.zeros(3, 12)),
            r"layers\.1\.grid .*\[3, 12\]; wanted \[4",
        ),
        (_replace("layers.1.grid", _grid(4, 9, 3, False)), "16 knots .* degree 7"),
        (_replace("layers.0.grid", "none"), r"layers\.0\.grid is a str"),
        (_replace("layers.3.grid", torch.zeros(1, 12)), r"\[0, 1, 3\].*without a gap"),
        (lambda state: state.update(_state((3, 5))), "5 outputs .* 4 inputs"),
        (_replace("layers.0.spline_weight", torch.zeros(4, 3, 8).half()), "spline_weight is torch.float16; wanted"),
        (_set("layers.0.spline_scaler", ..., 3e38), "a coefficient .*too large"),
        (lambda state: state.clear(), "no layer .*nothing"),
    ],
)
def test_what_is_no_such_network_is_refused(change: Callable[[State], None], message: str) -> None:
    """By name, with what was found."""
    state = _state()
    state["layers.0.grid"] = state["layers.0.grid"].clone()
    change(state)
    with pytest.raises(InteropError, match=message):
        from_efficient_kan(state)


def test_nothing_is_shared_with_the_source() -> None:
    """Neither the state dict changes, nor the network with it."""
    state = _state(scaler=False, uneven=True)
    before = {name: tensor.clone() for name, tensor in state.items()}
    kan = from_efficient_kan(state)
    with torch.no_grad():
        for tensor in [*kan.parameters(), *kan.buffers()]:
            tensor += 1
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


def test_a_checkpoint_is_read(tmp_path: Path) -> None:
    """What torch.save wrote of a state dict."""
    torch.save(_state(), tmp_path / "kan.pt")
    assert _equal(load_efficient_kan_checkpoint(tmp_path / "kan.pt"), from_efficient_kan(_state()))
    torch.save(_prefixed("kan.", _state()), tmp_path / "larger.pt")
    assert _equal(load_efficient_kan_checkpoint(tmp_path / "larger.pt", prefix="kan."), from_efficient_kan(_state()))


def _whole_module(path: Path) -> None:
    torch.save(nn.Linear(1, 1), path)


def _torn(path: Path) -> None:
    torch.save(_state(), path)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_whole_module, "not the tensors"),
        (_torn, "not the tensors"),
        (lambda path: path.write_bytes(b""), "not the tensors"),
        (lambda path: path.write_text("layers.0.grid"), "not the tensors"),
        # Each of these makes torch's unpickler stumble in a way of its own: KeyError, IndexError, AttributeError.
        (lambda path: path.write_text("hello"), "not the tensors"),
        (lambda path: path.write_bytes(b"."), "not the tensors"),
        (lambda path: path.write_bytes(bytes(range(256))), "not the tensors"),
        (lambda path: path.write_bytes(b"]a."), "not the tensors"),
        (lambda path: torch.save(torch.ones(3), path), "holds a Tensor"),
        (lambda path: torch.save({"epoch": 3, "model": _state()}, path), "no layer .*epoch, model"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path: Path, write: Callable[[Path], Any], message: str) -> None:
    """Files of another kind are refused by name; no code in them is run."""
    write(tmp_path / "kan.pt")
    with pytest.raises(InteropError, match=rf"kan\.pt: .*{message}"):
        load_efficient_kan_checkpoint(tmp_path / "kan.pt")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """FileNotFoundError, as for any file."""
    with pytest.raises(FileNotFoundError):
        load_efficient_kan_checkpoint(tmp_path / "none.pt")
