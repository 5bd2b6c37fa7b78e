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


def product(first: SymbolicEdge, second: SymbolicEdge, *more: SymbolicEdge) -> KAN:
    """A product of two sums of edges."""
    kan = KAN(KANConfig((2, (0, 1))), seed=0, dtype=torch.float64)
    return kan.with_layers([kan.layers[0].changed(edge_mask=torch.zeros(2, 2), symbolic=[first, second, *more])])


def rows_of_a_product(noise: float, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """350 rows of (a + shift)·b with normal noise, rounded to float32 as those of a table."""
    random = np.random.default_rng(2)
    x = random.uniform(-1, 1, (350, 2))
    y = (x[:, :1] + shift) * x[:, 1:]
    y += noise * y.std() * random.standard_normal(y.shape)
    return torch.from_numpy(x).float().double(), torch.from_numpy(y).float().double()


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_a_product_has_one_constant(noise: float) -> None:
    """The fit left shifts and factors inside straight edges; c·a·b is left, with c within 4 standard errors of 1."""
    x, y = rows_of_a_product(noise)
    start = product(SymbolicEdge(0, 0, "x", -3.14, 1e-4, 0.3, 2e-3), SymbolicEdge(1, 1, "x", -1.02, 3e-5, 1.01, -1e-3))
    found = simplify_constants(start, x, y)
    assert found is not None
    assert found.free_constants <= 1
    probe = torch.tensor([[2.0, 3.0], [0.0, 5.0], [7.0, 0.0]], dtype=torch.float64)
    with torch.no_grad():
        scale, *zeros = found.kan(probe)[:, 0].tolist()
    assert zeros == [0.0, 0.0]
    # Least squares in float64: the standard error of c in c·a·b is noise·deviation/|a·b|, here noise/√350.
    assert scale / 6 == pytest.approx(1.0, abs=4 * noise / 350**0.5 + 1e-7)


def test_an_edge_that_adds_nothing_goes_and_takes_no_other_edges_work() -> None:
    """Of (1e-9·b² + a)·b the square goes; its constant does not become 1 with the others at 1e9."""
    x, y = rows_of_a_product(0.01)
    idle = SymbolicEdge(0, 1, "x^2", 1.0, 0.0, 1e-4, 0.0)
    edges = (SymbolicEdge(0, 0, "x", 1.0, 0.0, 0.9, 0.0), SymbolicEdge(1, 1, "x", 1.0, 0.0, 1.1, 0.0))
    found = simplify_constants(product(*edges, idle), x, y)
    assert found is not None
    assert sorted(found.kan.layers[0].symbolic_places) == [(0, 0), (1, 1)]


@pytest.mark.parametrize(("noise", "stays"), [(1e-3, True), (0.05, False)])
def test_a_small_shift_stays_where_the_rows_tell_it_from_0(noise: float, stays: bool) -> None:
    """(a + 0.01)·b: with noise of 0.1 % the shift is 0.01 ± 0.00003; with 5 % it is smaller than 2 standard errors."""
    x, y = rows_of_a_product(noise, shift=0.01 if stays else 0.001)
    start = product(SymbolicEdge(0, 0, "x", 1.0, 0.0, 0.9, 0.02), SymbolicEdge(1, 1, "x", 1.0, 0.0, 1.1, 0.0))
    found = simplify_constants(start, x, y)
    assert found is not None
    with torch.no_grad():
        at_zero = float(found.kan(torch.tensor([[0.0, 1.0]], dtype=torch.float64)))
    assert at_zero == (pytest.approx(0.01, rel=0.02) if stays else 0.0)


@pytest.mark.parametrize(("noise", "is_held"), [(0.1, True), (5.0, False)])
def test_a_half_number_is_plain_where_the_rows_tell_it_from_its_neighbours(noise: float, is_held: bool) -> None:
    """2.5·x: its standard error is 0.01 or 0.4, and of the latter any slope has a half number within its errors."""
    random = np.random.default_rng(3)
    x = torch.from_numpy(random.uniform(-1, 1, (400, 1)))
    y = 2.5 * x + noise * torch.from_numpy(random.standard_normal((400, 1)))
    kan = KAN(KANConfig((1, 1)), seed=0, dtype=torch.float64)
    edge = SymbolicEdge(0, 0, "x", 1.0, 0.0, 2.0, 0.1)
    found = simplify_constants(kan.with_layers([kan.layers[0].with_symbolic([edge])]), x, y)
    assert found is not None
    ((left,),) = (layer.symbolic for layer in found.kan.layers)
    assert (left.c == 2.5) == is_held
    assert found.free_constants == (0 if is_held else 1)


def test_one_row_and_equal_rows_give_a_network() -> None:
    """Derivatives that depend on each other, or a spread of 0, end in no error; the row keeps its answer."""
    x = torch.tensor([[0.5, 2.0]], dtype=torch.float64)
    start = product(SymbolicEdge(0, 0, "x", 1.0, 0.1, 0.9, 0.02), SymbolicEdge(1, 1, "x", 1.0, 0.0, 1.1, 0.0))
    for rows_, targets in ((x, x.prod(dim=1, keepdim=True)), (x.expand(5, 2), torch.ones(5, 1, dtype=torch.float64))):
        found = simplify_constants(start, rows_, targets)
        assert found is not None
        with torch.no_grad():
            torch.testing.assert_close(found.kan(rows_), targets, rtol=1e-5, atol=1e-5)
