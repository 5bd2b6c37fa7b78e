"""Evaluation block by block gives the answers of one forward pass, and holds no more than a block's values."""

import pytest
import torch
from torch import nn

from kan_model import KAN, KANConfig
from training.data.samples import Samples
from training.fitting.evaluation import answers, block_rows
from training.fitting.record import evaluate


def rows(count: int, inputs: int) -> torch.Tensor:
    """Spread evenly over [-1, 1]."""
    return torch.rand(count, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_blocks_give_the_answers_of_one_pass(count: int) -> None:
    """A wide network, whose blocks are small: every row once and in order, within float64's rounding."""
    kan = KAN(KANConfig((100, 1), grid_size=700, noise=0.5), seed=0, dtype=torch.float64)
    assert block_rows(kan) == 64
    x = rows(count, 100)
    with torch.no_grad():
        torch.testing.assert_close(answers(kan, x), kan(x), rtol=1e-12, atol=1e-12)


def test_a_small_table_is_one_block() -> None:
    """The bits of one forward pass, and no gradients."""
    kan = KAN(KANConfig((3, 4, 1), noise=0.5), seed=0)
    x = rows(2000, 3).float()
    found = answers(kan, x)
    assert torch.equal(found, kan(x))
    assert not found.requires_grad


def test_no_forward_pass_holds_more_than_a_block() -> None:
    """An evaluation of a wide network on 150 validation rows runs at most 64 rows at once, and all of them."""
    kan = KAN(KANConfig((100, 1), grid_size=700), seed=0)
    seen: list[int] = []
    kan.layers[0].register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    x = rows(150, 100).float()
    assert evaluate(kan, 1, 0.0, Samples(x, x[:, :1]), "regression") is not None
    assert sum(seen) == 150
    assert max(seen) <= block_rows(kan) == 64


def test_a_network_without_splines_has_blocks_too() -> None:
    """As the MLP of [baseline]."""
    mlp = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1)).double()
    x = rows(10_000, 3)
    assert 64 <= block_rows(mlp) < 10_000
    with torch.no_grad():
        torch.testing.assert_close(answers(mlp, x), mlp(x), rtol=1e-12, atol=1e-12)
