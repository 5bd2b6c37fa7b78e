"""What a least-squares solver sees of a network."""

import pytest
import torch
from torch import nn

from kan_model import KAN, KANConfig
from kan_model.rows import blocks, known_rows
from training.fitting import on_rows as module
from training.fitting.on_rows import SomeOnRows, on_rows


class TwiceThrough(nn.Module):
    """A network that is no plain KAN: one layer occurs twice."""

    def __init__(self) -> None:
        super().__init__()
        (layer,) = KAN(KANConfig((2, 2), grid_size=3), dtype=torch.float64).layers
        self.kan = KAN.of_layers([layer, layer])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The answers."""
        answers: torch.Tensor = self.kan(x)
        return answers


def networks() -> dict[str, nn.Module]:
    """Networks of two inputs, in float64."""
    kan = KAN(KANConfig((2, 3, 2), grid_size=4), dtype=torch.float64)
    return {
        "KAN": kan,
        "layer twice": TwiceThrough().kan,
        "wrapped": TwiceThrough(),
        "linear": nn.Linear(2, 2).double(),
    }


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("name", networks())
def test_the_derivatives_are_the_changes_of_the_answers(
    name: str, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Central differences of every answer, with the first layer's basis kept or not, and in blocks of rows."""
    if not is_kept:
        monkeypatch.setattr(known_rows, "_MOST_NUMBERS", 0)
    monkeypatch.setattr(blocks, "_BLOCK_VALUES", 1)
    monkeypatch.setattr(blocks, "_LEAST_ROWS", 4)
    network = networks()[name]
    x = torch.rand(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    model = on_rows(network, x)
    place = model.start
    torch.testing.assert_close(model.answers(place), network(x).detach(), rtol=1e-12, atol=1e-12)
    found = torch.empty(3, model.outputs, len(place), dtype=torch.float64)
    answers = model.write_jacobian(place, slice(5, 8), found)
    torch.testing.assert_close(answers, network(x[5:8]).detach(), rtol=1e-12, atol=1e-12)
    for column, step in enumerate(1e-6 * torch.eye(len(place), dtype=torch.float64)):
        change = (model.answers(place + step) - model.answers(place - step))[5:8] / 2e-6
        torch.testing.assert_close(found[..., column], change, rtol=1e-6, atol=1e-7)


def test_the_network_is_not_changed() -> None:
    """Its parameters keep their values, their type and their gradients' wish."""
    network = KAN(KANConfig((2, 3, 1)))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    model = on_rows(network, torch.zeros(4, 2))
    model.answers(model.start + 1)
    for parameter, values in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, values)
        assert parameter.requires_grad


def test_some_numbers_of_the_parameters() -> None:
    """Answers and derivatives are those of the whole model at these places; the others stay."""
    kan = networks()["KAN"]
    x = torch.rand(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole, places = on_rows(kan, x), torch.tensor([5, 0, 30])
    some = SomeOnRows(whole, places, "values")
    torch.testing.assert_close(some.start, whole.start[places])
    moved = whole.start.index_add(0, places, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(some.answers(some.start + 1), whole.answers(moved))
    found = torch.empty(4, 2, 3, dtype=torch.float64)
    every = torch.empty(4, 2, len(whole.start), dtype=torch.float64)
    some.write_jacobian(some.start + 1, slice(2, 6), found)
    whole.write_jacobian(moved, slice(2, 6), every)
    torch.testing.assert_close(found, every[..., places])
    assert list(some.parts(some.start)) == ["values"]


def test_few_of_many_parameters_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their derivatives are read from blocks of so many numbers of all derivatives, with the same result."""
    whole = on_rows(networks()["KAN"], torch.rand(30, 2, dtype=torch.float64))
    some = SomeOnRows(whole, torch.tensor([3, 40]), "values")
    found, wanted = torch.empty(20, 2, 2, dtype=torch.float64), torch.empty(20, 2, 2, dtype=torch.float64)
    answers = some.write_jacobian(some.start, slice(10, 30), wanted)
    sizes: list[int] = []
    write = whole.write_jacobian

    def recorded(place: torch.Tensor, rows: slice, part: torch.Tensor) -> torch.Tensor:
        sizes.append(part.numel())
        return write(place, rows, part)

    monkeypatch.setattr(whole, "write_jacobian", recorded)
    limit = 3 * 2 * len(whole.start)
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", limit)
    torch.testing.assert_close(some.write_jacobian(some.start, slice(10, 30), found), answers)
    torch.testing.assert_close(found, wanted)
    assert max(sizes) <= limit
    assert len(sizes) == 7
