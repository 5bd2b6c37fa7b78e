"""Rows whose part of the first layer is computed once get the same answers and gradients."""

from collections.abc import Callable

import pytest
import torch

from kan_model import KAN, SymbolicEdge
from kan_model.network.layer import Outside
from kan_model.rows import known_rows
from kan_model.rows.known_rows import KnownRows

MakeKAN = Callable[..., KAN]


def sums_of_gradients(kan: KAN, answers: torch.Tensor) -> list[torch.Tensor]:
    """The gradients of all parameters for a random direction of the answers."""
    direction = torch.linspace(-1, 1, answers.numel(), dtype=answers.dtype).view_as(answers)
    return list(torch.autograd.grad((direction * answers).sum(), list(kan.parameters())))


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
def test_answers_and_gradients_are_those_of_the_network(make_kan: MakeKAN, outside: Outside, uneven: bool) -> None:
    """Masks, symbolic edges and a bias too; again after the parameters changed."""
    kan = make_kan((3, 4, 2), outside=outside, uneven=uneven)
    mask = torch.ones(4, 3, dtype=kan.dtype)
    mask[2, 0] = 0
    first = kan.layers[0].changed(edge_mask=mask, bias=torch.ones(4, dtype=kan.dtype))
    places = [SymbolicEdge(3, 1, "sin", 2.0, 0.1, 1.5, 0.2), SymbolicEdge(3, 2, "exp", 0.5, 0.1, 1.5, 0.2)]
    kan = KAN.of_layers([first.with_symbolic(places), *kan.layers[1:]])
    x = 4 * torch.rand(30, 3, dtype=kan.dtype, generator=torch.Generator().manual_seed(0)) - 2
    known = KnownRows.of(kan, x)
    assert known is not None
    for _ in range(2):
        torch.testing.assert_close(known.answers(kan), kan(x), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(known[5:9].answers(kan), kan(x[5:9]), rtol=1e-12, atol=1e-12)
        pairs = zip(sums_of_gradients(kan, known.answers(kan)), sums_of_gradients(kan, kan(x)), strict=True)
        for ours, wanted in pairs:
            torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-10)
        with torch.no_grad():
            for parameter in kan.parameters():
                parameter.mul_(1.5)


def test_its_memory_is_bounded(make_kan: MakeKAN, monkeypatch: pytest.MonkeyPatch) -> None:
    """More numbers than allowed are not kept: 3 inputs of 8 basis functions and 5 rows are 120."""
    kan = make_kan((3, 4, 2))
    x = torch.zeros(5, 3, dtype=kan.dtype)
    monkeypatch.setattr(known_rows, "_MOST_NUMBERS", 119)
    assert KnownRows.of(kan, x) is None
    monkeypatch.setattr(known_rows, "_MOST_NUMBERS", 120)
    assert KnownRows.of(kan, x) is not None
