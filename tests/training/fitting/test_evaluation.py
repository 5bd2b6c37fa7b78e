"""An evaluation holds no more than a block's values."""

import torch

from kan_model import KAN, KANConfig
from training.data.samples import Samples
from training.fitting.evaluation import block_rows
from training.fitting.record import evaluate


def rows(count: int, inputs: int) -> torch.Tensor:
    """Spread evenly over [-1, 1]."""
    return torch.rand(count, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_no_forward_pass_holds_more_than_a_block() -> None:
    """An evaluation of a wide network on 150 validation rows runs at most 64 rows at once, and all of them."""
    kan = KAN(KANConfig((100, 1), grid_size=700), seed=0)
    seen: list[int] = []
    kan.layers[0].register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    x = rows(150, 100).float()
    assert evaluate(kan, 1, 0.0, Samples(x, x[:, :1]), "regression") is not None
    assert sum(seen) == 150
    assert max(seen) <= block_rows(kan) == 64
