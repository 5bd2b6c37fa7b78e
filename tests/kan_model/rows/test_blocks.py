"""Block by block a table gets the answers of one forward pass, and no forward pass has more rows than a block."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from kan_model import KAN, KANConfig, auto_symbolic, prune
from kan_model.analysis.edge_values import first_flaw
from kan_model.formula.expression import formula
from kan_model.grids.adaptation import adapt_grid
from kan_model.network.layer import KANLayer
from kan_model.plot import diagram, edge_detail
from kan_model.rows import blocks
from kan_model.rows.blocks import answers, block_rows


def random_rows(count: int, inputs: int) -> Tensor:
    """Rows in [-1, 1]."""
    return torch.rand(count, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_blocks_give_the_answers_of_one_pass(count: int) -> None:
    """A wide network, whose blocks are small: every row once and in order, within float64's rounding."""
    kan = KAN(KANConfig((100, 1), grid_size=700, noise=0.5), seed=0, dtype=torch.float64)
    assert block_rows(kan) == 64
    x = random_rows(count, 100)
    with torch.no_grad():
        torch.testing.assert_close(answers(kan, x), kan(x), rtol=1e-12, atol=1e-12)


def test_a_small_table_is_one_block() -> None:
    """The bits of one forward pass, and no gradients."""
    kan = KAN(KANConfig((3, 4, 1), noise=0.5), seed=0)
    x = random_rows(2000, 3).float()
    found = answers(kan, x)
    assert torch.equal(found, kan(x))
    assert not found.requires_grad


def test_a_network_without_splines_has_blocks_too() -> None:
    """As the MLP of [baseline]."""
    mlp = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1)).double()
    x = random_rows(10_000, 3)
    assert 64 <= block_rows(mlp) < 10_000
    with torch.no_grad():
        torch.testing.assert_close(answers(mlp, x), mlp(x), rtol=1e-12, atol=1e-12)


@pytest.fixture
def most_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """The most rows that any layer was given at once; blocks have 64 rows."""
    monkeypatch.setattr(blocks, "_BLOCK_VALUES", 1)
    seen: list[int] = [0]

    def note(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(module, KANLayer):
            seen.append(len(given[0]))

    handle = nn.modules.module.register_module_forward_pre_hook(note)
    yield lambda: max(seen)
    handle.remove()


_KAN = KAN(KANConfig((2, 3, 1), grid_size=3, noise=0.5), dtype=torch.float64)
_WORK: dict[str, Callable[[Tensor], object]] = {
    "answers": lambda x: answers(_KAN, x),
    "pruning": lambda x: prune(_KAN, x),
    "grids": lambda x: adapt_grid(_KAN, x),
    "formulas": lambda x: auto_symbolic(_KAN, x, functions=["x"], min_r2=0.1),
    "whole formula": lambda x: formula(_KAN, splines="keep").evaluate(x.numpy()),
    "a flaw": lambda x: first_flaw(_KAN, x),
    "diagram": lambda x: diagram(_KAN, x),
    "a curve": lambda x: edge_detail(_KAN, x, 1, 0, 1),
}
# Their blocks have sizes of their own: they fit the cache, or hold edges.
_OWN_BLOCKS = {"grids": 2**13, "a flaw": 1024, "diagram": 1000}


@pytest.mark.parametrize("name", _WORK)
def test_no_forward_pass_has_more_rows_than_a_block(name: str, most_rows: Callable[[], int]) -> None:
    """Of 20,000 rows at most a block is in a layer at once, whatever is done with the network."""
    _WORK[name](random_rows(20_000, 2))
    assert most_rows() <= _OWN_BLOCKS.get(name, 64)
