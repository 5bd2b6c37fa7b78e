"""Checkpoints are read back bit for bit, or refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from kan_model import KAN, KANConfig
from kan_model.network import checkpoint
from kan_model.network.members import Members
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.transform import Affine, Exponential, InputTransform, Intervals, OutputTransform, Softmax

INPUTS = InputTransform(
    np.array([1, 2, 3], np.float32), np.array([4, 5, 6], np.float32), np.array([np.nan, 7, 8], np.float32)
)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (None, None),
        (INPUTS, Softmax()),
        (replace(INPUTS, imputed=np.array([6, 7], np.float32), gaps=np.array([1])), Softmax()),
        (replace(INPUTS, imputed=None), Affine(np.array([1, 2], np.float32), np.array([3, 4], np.float32))),
        (INPUTS, Exponential(np.array([1, 2], np.float32), np.array([3, 4], np.float32))),
    ],
)
def test_transforms_come_back_with_the_network(
    make_kan: Callable[..., KAN], inputs: InputTransform | None, outputs: OutputTransform | None
) -> None:
    """To the bit, NaN where a missing value stays NaN; readers of the network alone are not disturbed."""
    kan = make_kan()
    content = checkpoint.to_bytes(kan, inputs, outputs)
    got_inputs, got_outputs = checkpoint.transforms(content)
    assert type(got_inputs) is type(inputs)
    assert type(got_outputs) is type(outputs)
    for got, wanted in ((got_inputs, inputs), (got_outputs, outputs)):
        for name, values in vars(wanted).items() if wanted else ():
            np.testing.assert_array_equal(getattr(got, name), values)
    assert checkpoint.to_bytes(checkpoint.from_bytes(content)) == checkpoint.to_bytes(kan)


def test_libraries_that_know_no_exp_refuse_it(make_kan: Callable[..., KAN], tmp_path: Path) -> None:
    """A library that ignored the exp would answer logarithms, so that the format has a version of its own."""
    both = np.zeros(2, np.float32)
    for outputs, version in ((Affine(both, both), 1), (Exponential(both, both), 4)):
        (tmp_path / "kan.safetensors").write_bytes(checkpoint.to_bytes(make_kan(), INPUTS, outputs))
        with safe_open(tmp_path / "kan.safetensors", "pt") as file:
            assert json.loads(file.metadata()["kan"])["format_version"] == version


def test_gap_inputs_are_a_format_of_their_own(make_kan: Callable[..., KAN]) -> None:
    """An older library, which has no gap inputs, refuses the file; a file without them is the one that it was."""

    def format_version(inputs: InputTransform) -> int:
        content = checkpoint.to_bytes(make_kan(), inputs)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return int(json.loads(header["__metadata__"]["kan"])["format_version"])

    assert format_version(INPUTS) == 1
    assert format_version(replace(INPUTS, gaps=np.array([1]))) == 4


def test_transforms_of_something_else_are_refused() -> None:
    """Transforms in a file of another kind are refused with one clear error."""
    with pytest.raises(ValueError, match="not a KAN checkpoint"):
        checkpoint.transforms(b"x" * 100)


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saved_network_loads_to_the_bit(
    make_kan: Callable[..., KAN], tmp_path: Path, dtype: torch.dtype, uneven: bool
) -> None:
    """Tensors, grids, masks, degree and policy are those that were saved, and so are the answers."""
    kan = make_kan(degree=4, outside="decay", dtype=dtype, uneven=uneven)
    kan.layers[0].edge_mask[0, 1] = 0
    checkpoint.save(kan, tmp_path / "kan.safetensors")
    loaded = checkpoint.load(tmp_path / "kan.safetensors")
    assert loaded.state_dict().keys() == kan.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in kan.state_dict().items())
    x = torch.randn(50, 3, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 3
    assert torch.equal(loaded(x), kan(x))
    assert [path.name for path in tmp_path.iterdir()] == ["kan.safetensors"]


def _symbolic(kan: KAN) -> KAN:
    edges = [SymbolicEdge(1, 2, "sin", 0.1, 0.2, 0.3, 0.4), SymbolicEdge(0, 0, "1/sqrt(x)", 1 / 3, 7.0, -2.0, 1e-9)]
    return KAN.of_layers([kan.layers[0].with_symbolic(edges), *kan.layers[1:]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_symbolic_edges_are_saved_to_the_bit(make_kan: Callable[..., KAN], dtype: torch.dtype) -> None:
    """Places, functions and numbers of symbolic edges are saved bit for bit, also NaN after a diverged training."""
    kan = _symbolic(make_kan(dtype=dtype))
    loaded = checkpoint.from_bytes(checkpoint.to_bytes(kan))
    assert loaded.layers[0].symbolic == kan.layers[0].symbolic
    x = torch.randn(50, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(x), kan(x))
    affine = kan.layers[0].symbolic_affine
    assert affine is not None
    with torch.no_grad():
        affine[1, 2] = torch.nan
    spoilt = checkpoint.from_bytes(checkpoint.to_bytes(kan)).layers[0].symbolic_affine
    torch.testing.assert_close(spoilt, affine, rtol=0, atol=0, equal_nan=True)


def test_what_is_newer_needs_a_later_format(make_kan: Callable[..., KAN], tmp_path: Path) -> None:
    """Networks without symbolic edges, biases and products are written as older libraries read them; others are not."""
    versions = []
    for kan in (make_kan(), _symbolic(make_kan()), _biased(make_kan()), make_kan((3, (1, 2), 2))):
        checkpoint.save(kan, tmp_path / "kan.safetensors")
        with safe_open(tmp_path / "kan.safetensors", framework="pt") as file:
            versions.append(json.loads(file.metadata()["kan"])["format_version"])
    assert versions == [1, 2, 3, 5]


def test_products_come_back(make_kan: Callable[..., KAN]) -> None:
    """On the layers that have them alone, with the same answers; factors that make no nodes are refused."""
    kan = make_kan((3, (1, 2), 2), arity=3)
    content = checkpoint.to_bytes(kan)
    loaded = checkpoint.from_bytes(content)
    assert [layer.products for layer in loaded.layers] == [kan.layers[0].products, None]
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(x), kan(x))
    torn = content.replace(b"[1, 2, 3], [4, 5, 6]", b"[1, 2, 3], [4, 5, 7]")
    assert len(torn) == len(content) != 0
    with pytest.raises(ValueError, match="wanted each of 7 sums once"):
        checkpoint.from_bytes(torn)


def _biased(kan: KAN) -> KAN:
    first = kan.layers[0]
    bias = torch.arange(first.outputs, dtype=kan.dtype) / 3
    return KAN.of_layers([first.changed(bias=bias), *kan.layers[1:]])


def test_biases_come_back(make_kan: Callable[..., KAN]) -> None:
    """To the bit, on the layers that have them alone."""
    kan = _biased(make_kan())
    loaded = checkpoint.from_bytes(checkpoint.to_bytes(kan))
    assert [layer.bias is None for layer in loaded.layers] == [False, True]
    x = torch.randn(50, 3, dtype=kan.dtype, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(x), kan(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"function": "sinus"}, "function is 'sinus'"),
        ({"output": 9}, "to output 9; wanted"),
        ({"affine": torch.ones(4)}, r"symbolic_affine .*\(4,\); wanted \[1, 4\]"),
    ],
)
def test_symbolic_edges_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    """Functions of a later library, places that are not there, numbers of another shape."""
    edge = {"output": 0, "function": "sin", "affine": torch.ones(1, 4)} | changes
    layer = {"degree": 1, "outside": "clamp", "symbolic": [[edge["output"], 0, edge["function"]]]}
    tensors = {
        "base_weight": torch.ones(1, 1),
        "coefficients": torch.ones(1, 1, 2),
        "edge_mask": torch.zeros(1, 1),
        "domain": torch.tensor([[0.0, 1.0]]),
        "symbolic_affine": edge["affine"],
    }
    content = save_tensors(
        {f"layers.0.{name}": tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)},
        metadata={"kan": json.dumps({"format_version": 2, "layers": [layer]})},
    )
    with pytest.raises(ValueError, match=message):
        checkpoint.from_bytes(content)


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_a_torn_file_is_refused(make_kan: Callable[..., KAN], tmp_path: Path, cut: int) -> None:
    """Half a file is an error that names it, never a network."""
    path = tmp_path / "kan.safetensors"
    path.write_bytes(checkpoint.to_bytes(make_kan())[:cut])
    with pytest.raises(ValueError, match=r"kan\.safetensors: not a KAN"):
        checkpoint.load(path)


def test_other_safetensors_and_later_formats_are_refused() -> None:
    """Tensors without our header, or with that of a later library."""
    with pytest.raises(ValueError, match="not a KAN checkpoint"):
        checkpoint.from_bytes(save_tensors({"a": torch.zeros(2)}))
    later = save_tensors({"a": torch.zeros(2)}, metadata={"kan": '{"format_version": 99, "layers": []}'})
    with pytest.raises(ValueError, match="version 99;"):
        checkpoint.from_bytes(later)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """FileNotFoundError, as for any file."""
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "none.safetensors")


def _header(content: bytes) -> dict[str, Any]:
    """Our part of a checkpoint's header."""
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    description: dict[str, Any] = json.loads(metadata["kan"])
    return description


def test_members_are_saved_with_the_network(make_kan: Callable[..., KAN]) -> None:
    """They come back as they were, in the version that older libraries read; a network without them has no such key."""
    layers = make_kan().layers
    members = Members(((1, 3),), ((0.1, 1 / 3), (-0.1, -1 / 3)))
    content = checkpoint.to_bytes(KAN.of_layers(layers, members))
    assert checkpoint.from_bytes(content).members == members
    assert _header(content)["format_version"] == 1
    plain = checkpoint.to_bytes(KAN.of_layers(layers))
    assert "members" not in _header(plain)
    assert checkpoint.from_bytes(plain).members is None


@pytest.mark.parametrize(
    "members",
    [
        {"nodes": [[1, 1]], "shifts": [[0.0, 0.0], [0.0, 0.0]]},
        {"nodes": [[1, 3]], "shifts": [[0.0], [0.0]]},
        {"nodes": [[1, 3]]},
        {"nodes": 4, "shifts": "none"},
        [4],
    ],
)
def test_members_that_do_not_fit_are_refused(make_kan: Callable[..., KAN], members: object) -> None:
    """A file whose members have other nodes than its layers, or are something else, is refused."""
    content = checkpoint.to_bytes(make_kan())
    description = _header(content) | {"members": members}
    changed = save_tensors(load_tensors(content), metadata={"kan": json.dumps(description)})
    with pytest.raises(ValueError, match=r"members|not a KAN checkpoint"):
        checkpoint.from_bytes(changed)


@pytest.mark.parametrize("is_scaled", [False, True])
def test_intervals_come_back_with_the_network(is_scaled: bool) -> None:
    """Half widths, kind and scale, bit for bit; a network without them has none, and the same bytes as before."""
    kan = KAN(KANConfig((2, 3, 1)), seed=1)
    scale = kan.layers[0].changed(
        base_weight=torch.zeros(1, 2),
        coefficients=torch.rand(1, *kan.layers[0].coefficients.shape[1:]),
        edge_mask=torch.ones(1, 2),
        bias=torch.tensor([0.5]),
    )
    given = Intervals(np.array([1.5], np.float32), "log", scale if is_scaled else None)
    content = checkpoint.to_bytes(kan, bounds=given)
    found = checkpoint.intervals(content)
    assert found is not None
    assert (found.kind, found.half_width.tolist()) == ("log", [1.5])
    x, y = torch.rand(20, 2), torch.rand(20, 1)
    for ours, theirs in zip(found(y, x), given(y, x), strict=True):
        assert torch.equal(ours, theirs)
    assert checkpoint.intervals(checkpoint.to_bytes(kan)) is None
    assert torch.equal(checkpoint.from_bytes(content)(x), kan(x))
