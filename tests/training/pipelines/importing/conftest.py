"""A folder to import in, and a network of efficient-kan."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks of pykan write ./model wherever they stand."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    return tmp_path


@pytest.fixture
def state() -> Callable[..., Mapping[str, Tensor]]:
    """A state dict with the names and shapes that efficient-kan publishes; the grids from -1 to 1."""

    def make(
        width: tuple[int, ...] = (3, 4, 2), grid_size: int = 5, order: int = 3, prefix: str = ""
    ) -> Mapping[str, Tensor]:
        random = torch.Generator().manual_seed(0)
        tensors = {}
        for index, (inputs, outputs) in enumerate(pairwise(width)):
            name = f"{prefix}layers.{index}."
            tensors[name + "base_weight"] = torch.randn(outputs, inputs, generator=random)
            tensors[name + "spline_weight"] = torch.randn(outputs, inputs, grid_size + order, generator=random)
            knots = torch.arange(-order, grid_size + order + 1) * (2 / grid_size) - 1
            tensors[name + "grid"] = knots.expand(inputs, -1).contiguous()
        return tensors

    return make
