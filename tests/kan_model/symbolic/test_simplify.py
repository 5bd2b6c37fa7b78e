"""Constants that rows cannot tell from 0 or 1 become these."""

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.symbolic.simplify import simplify_constants


def root_of_squares(shift: float = 0.03) -> KAN:
    """Sqrt of a sum of two squares, all constants beside those of the truth."""
    kan = KAN(KANConfig((2, 1, 1)), seed=0, dtype=torch.float64)
    inner = [SymbolicEdge(0, place, "x^2", 1.0, shift, 0.8, 0.01) for place in range(2)]
    outer = [SymbolicEdge(0, 0, "sqrt", 1.0, 0.02, 1.1, -0.05)]
    return kan.with_layers([kan.layers[0].with_symbolic(inner), kan.layers[1].with_symbolic(outer)])


def rows(noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """300 rows of sqrt(a² + b²) with normal noise."""
    random = np.random.default_rng(0)
    x = random.uniform(0.5, 2, (300, 2))
    y = np.hypot(*x.T)[:, None]
    return torch.from_numpy(x), torch.from_numpy(y + noise * y.std() * random.standard_normal(y.shape))


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_constants_of_noise_vanish(noise: float) -> None:
    """No shift, and factors of 1, are left: the formula is the truth itself, also from rows with 5 % noise."""
    x, y = rows(noise)
    found = simplify_constants(root_of_squares(), x, y)
    assert found is not None
    assert found.free_constants <= 1
    with torch.no_grad():
        answers = found.kan(x)[:, 0]
    assert torch.allclose(answers, torch.hypot(x[:, 0], x[:, 1]), rtol=0.003)
    assert all(edge.b == 0 == edge.d for layer in found.kan.layers for edge in layer.symbolic)


def test_constants_that_the_rows_tell_from_plain_values_stay() -> None:
    """A true shift of 0.3 is found and not held at 0."""
    random = np.random.default_rng(1)
    x = torch.from_numpy(random.uniform(-1, 1, (200, 1)))
    y = (x + 0.3) ** 2 + 0.01 * torch.from_numpy(random.standard_normal((200, 1)))
    kan = KAN(KANConfig((1, 1)), seed=0, dtype=torch.float64)
    edge = SymbolicEdge(0, 0, "x^2", 1.0, 0.1, 1.4, 0.2)
    found = simplify_constants(kan.with_layers([kan.layers[0].with_symbolic([edge])]), x, y)
    assert found is not None
    ((left,),) = (layer.symbolic for layer in found.kan.layers)
    assert left.b == pytest.approx(0.3, abs=0.01)
    assert (left.c, left.d) == (1.0, 0.0)


def test_the_given_network_stays_and_one_without_answers_is_none() -> None:
    """A logarithm of negative numbers has no constants to start from."""
    x, y = rows(0.0)
    kan = root_of_squares()
    before = [layer.symbolic for layer in kan.layers]
    assert simplify_constants(kan, x, y, hold=False) is not None
    assert [layer.symbolic for layer in kan.layers] == before
    edge = SymbolicEdge(0, 0, "log", 1.0, -50.0, 1.0, 0.0)
    silent = kan.with_layers([kan.layers[0], kan.layers[1].with_symbolic([edge])])
    assert simplify_constants(silent, x, y) is None
