"""AdamW for networks with directions, against AdamW on numbers whose curves autograd derives."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from kan_model import KAN
from kan_model.monotone.adam import MonotoneAdamW
from kan_model.monotone.promise import settled
from tests.kan_model.monotone.conftest import rows, scrambled

OPTIONS: dict[str, Any] = {"lr": 0.05, "weight_decay": 0.3}


def loss_of(answers: Tensor) -> Tensor:
    """Of answers that fall with the first input, which must rise: steps pass 0 again and again."""
    x = rows()
    return (answers[:, 0] + x[:, 0] - torch.sin(4 * x[:, 1]) - x[:, 2] * x[:, 3]).square().mean()


def advance(kan: KAN, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Steps of the optimizer on all rows."""
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(kan(rows())).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def curves(numbers: Tensor, signs: Tensor) -> Tensor:
    """Coefficients whose mean is the first number, and whose steps are twice the amounts of the others."""
    steps = 2 * numbers[..., 1:].abs()
    heights = torch.cat([torch.zeros_like(steps[..., :1]), steps.cumsum(dim=-1)], dim=-1)
    walked = signs * (numbers[..., :1] + heights - heights.mean(dim=-1, keepdim=True))
    return torch.where(signs == 0, numbers, walked)


def test_it_is_adamw_on_levels_and_amounts_of_steps() -> None:
    """40 steps of both give the same network, though many steps turned around."""
    kan = settled(scrambled(0, (6, 4, 1)))
    named = {name: parameter.detach().clone() for name, parameter in kan.named_parameters()}
    signs = [layer.signs.unsqueeze(-1) for layer in kan.layers]
    for index, layer in enumerate(kan.layers):
        rising = layer.coefficients.detach() * signs[index]
        numbers = torch.cat([rising.mean(dim=-1, keepdim=True), rising.diff() / 2], dim=-1)
        named[f"layers.{index}.coefficients"] = torch.where(signs[index] == 0, layer.coefficients.detach(), numbers)
    leaves = {name: each.requires_grad_() for name, each in named.items()}
    plain = torch.optim.AdamW(leaves.values(), **OPTIONS)

    def as_parameters() -> dict[str, Tensor]:
        made = {f"layers.{i}.coefficients": curves(leaves[f"layers.{i}.coefficients"], signs[i]) for i in range(2)}
        return leaves | made

    for _ in range(40):
        plain.zero_grad()
        loss_of(functional_call(kan, as_parameters(), (rows(),))).backward()  # type: ignore[no-untyped-call]
        plain.step()
    advance(kan, MonotoneAdamW(kan, kan.parameters(), **OPTIONS), 40)
    assert any((leaves[f"layers.{i}.coefficients"][..., 1:] < 0)[signs[i][..., 0] != 0].any() for i in range(2))
    for name, parameter in kan.named_parameters():
        torch.testing.assert_close(parameter, as_parameters()[name], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coefficients_follow_their_directions_as_they_stand(state: KAN, dtype: torch.dtype) -> None:
    """So no rule is left to apply, and the network alone is the state that a stopped fit goes on from."""
    kan = copy.deepcopy(state).to(dtype)
    optimizer = MonotoneAdamW(kan, kan.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        kan(rows().to(dtype)).square().mean().backward()
        optimizer.step()
        for layer in kan.layers:
            parameter = dict(layer.named_parameters())["coefficients"]
            assert torch.equal(parameter, layer.coefficients)
            assert (parameter.diff() * layer.signs.unsqueeze(-1) >= 0).all()


def test_a_stopped_fit_goes_on_to_the_same_bits() -> None:
    """From the network and the optimizer's own state."""
    kan = scrambled(1)
    advance(kan, optimizer := MonotoneAdamW(kan, kan.parameters(), **OPTIONS), 5)
    again = copy.deepcopy(kan)
    later = MonotoneAdamW(again, again.parameters(), **OPTIONS)
    later.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    advance(kan, optimizer, 5)
    advance(again, later, 5)
    assert all(torch.equal(a, b) for a, b in zip(kan.parameters(), again.parameters(), strict=True))


def test_a_free_network_moves_as_by_adamw() -> None:
    """Bit for bit."""
    free = scrambled(2).with_layers([layer.changed(directions=None) for layer in scrambled(2).layers])
    other = copy.deepcopy(free)
    advance(free, MonotoneAdamW(free, free.parameters(), **OPTIONS), 3)
    advance(other, torch.optim.AdamW(other.parameters(), **OPTIONS), 3)
    assert all(torch.equal(a, b) for a, b in zip(free.parameters(), other.parameters(), strict=True))


def test_a_closure_is_refused() -> None:
    """It would see levels and steps in the place of coefficients."""
    kan = scrambled(3)
    with pytest.raises(ValueError, match="a closure"):
        MonotoneAdamW(kan, kan.parameters()).step(lambda: 0.0)
