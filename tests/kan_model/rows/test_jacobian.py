"""The derivatives that are written layer by layer are those of torch.func."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, jacrev, vmap

from kan_model import KAN, SymbolicEdge
from kan_model.network.layer import Outside
from kan_model.rows.jacobian import jacobian, parameter_columns, write_jacobian
from kan_model.rows.known_rows import KnownRows

MakeKAN = Callable[..., KAN]


def by_torch(kan: KAN, x: Tensor) -> Tensor:
    """``[rows, outputs, parameters]`` by reverse-mode differentiation of every answer."""
    parameters = {name: parameter.detach() for name, parameter in kan.named_parameters()}
    answer = jacrev(lambda given, row: functional_call(kan, given, (row[None],))[0])
    found = vmap(answer, (None, 0))(parameters, x)
    return torch.cat([found[name].flatten(2) for name in parameters], dim=2)


def with_everything(kan: KAN) -> KAN:
    """Masked and symbolic edges and a bias in the first layer, symbolic ones in the last."""
    first, *others = kan.layers
    mask = torch.ones_like(first.edge_mask)
    mask[1, 2] = 0
    bias = torch.linspace(-1, 1, first.sums, dtype=kan.dtype)
    places = [SymbolicEdge(0, 0, "sin", 2.0, 0.1, 1.5, 0.2), SymbolicEdge(3, 1, "exp", 0.5, 0.1, -1.5, 0.2)]
    first = first.changed(edge_mask=mask, bias=bias).with_symbolic(places)
    others[-1] = others[-1].with_symbolic([SymbolicEdge(1, 2, "x^2", 2.0, 0.1, 1.5, 0.2)])
    return KAN.of_layers([first, *others])


def rows_of(kan: KAN, count: int = 40) -> Tensor:
    """Rows inside and outside of the domains."""
    return 4 * torch.rand(count, kan.width[0], dtype=kan.dtype, generator=torch.Generator().manual_seed(1)) - 2


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_it_is_the_jacobian_of_torch(make_kan: MakeKAN, degree: int, outside: Outside, uneven: bool) -> None:
    """Any grid, masks, symbolic edges, biases, products, several outputs; prepared rows give the same."""
    width = (3, (2, 2), (1, 3), 2) if degree == 3 else (3, 4, 4, 2)
    kan = with_everything(make_kan(width, arity=3, degree=degree, outside=outside, uneven=uneven))
    x = rows_of(kan)
    wanted, found = by_torch(kan, x), jacobian(kan, x)
    known = KnownRows.of(kan, x)
    assert known is not None
    again = torch.full_like(found, torch.nan)
    write_jacobian(kan, known, parameter_columns(dict(kan.named_parameters())), again)
    for each in (found, again):
        assert (each - wanted).abs().max() <= 1e-12 * wanted.abs().max()


def test_a_network_of_one_layer_has_the_sensitivity_one(make_kan: MakeKAN) -> None:
    """Its answers depend only on the parameters of their own node."""
    kan = make_kan((2, 3))
    x = rows_of(kan)
    torch.testing.assert_close(jacobian(kan, x), by_torch(kan, x), rtol=1e-12, atol=1e-12)


def test_only_wanted_parameters_are_written_and_the_answers_come_back(make_kan: MakeKAN) -> None:
    """Columns that belong to no wanted parameter are left alone; no gradient is left behind."""
    kan = with_everything(make_kan((3, 4, 2)))
    x = rows_of(kan)
    columns = {"layers.1.coefficients": slice(2, 2 + kan.layers[1].coefficients.numel())}
    found = torch.zeros(len(x), 2, columns["layers.1.coefficients"].stop + 3, dtype=kan.dtype)
    answers = write_jacobian(kan, x, columns, found)
    places = parameter_columns(dict(kan.named_parameters()))["layers.1.coefficients"]
    torch.testing.assert_close(found[..., 2:-3], by_torch(kan, x)[..., places], rtol=1e-12, atol=1e-12)
    assert not found[..., :2].any()
    assert not found[..., -3:].any()
    torch.testing.assert_close(answers, kan(x), rtol=1e-12, atol=1e-12)
    assert not answers.requires_grad
    assert all(parameter.grad is None for parameter in kan.parameters())
