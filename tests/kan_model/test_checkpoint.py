"""Checkpoints come back to the bit, or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as save_tensors

from kan_model import KAN, checkpoint


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


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_a_torn_file_is_refused(make_kan: Callable[..., KAN], tmp_path: Path, cut: int) -> None:
    """Half a file is an error that names it, never a network."""
    path = tmp_path / "kan.safetensors"
    path.write_bytes(checkpoint.to_bytes(make_kan())[:cut])
    with pytest.raises(ValueError, match=r"kan\.safetensors: not a KAN checkpoint"):
        checkpoint.load(path)


def test_other_safetensors_and_later_formats_are_refused() -> None:
    """Tensors without our header, or with that of a later library."""
    with pytest.raises(ValueError, match="not a KAN checkpoint"):
        checkpoint.from_bytes(save_tensors({"a": torch.zeros(2)}))
    later = save_tensors({"a": torch.zeros(2)}, metadata={"kan": '{"format_version": 99, "layers": []}'})
    with pytest.raises(ValueError, match="format version 99"):
        checkpoint.from_bytes(later)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """FileNotFoundError, as for any file."""
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "none.safetensors")
