"""The promise in float64: pairs of rows that differ by steps that a monotone input is promised for."""

import copy

import pytest
import torch
from torch import Tensor

from kan_model import KAN
from kan_model.monotone.promise import settled
from kan_model.network import checkpoint

_BATCH = 50_000
# Of the range of the answers.
_ALLOWED = 1e-12


def random_pairs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows ``[count, 6]`` around and far beyond the domain [-1, 1], and the same rows moved in the promised direction.

    Each monotone input moves alone or with others, by 1e-9 to 1e3.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    reach = torch.tensor([1.0, 1.5, 4.0, 50.0], dtype=torch.float64)[(uniform(count, 1) * 4).long()]
    lower = (uniform(count, 6) * 2 - 1) * reach
    moves = 10 ** (uniform(count, 3) * 12 - 9) * (uniform(count, 3) < 0.6)
    upper = lower.clone()
    upper[:, :3] += moves * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    return lower, upper


def answer(kan: KAN, rows: Tensor) -> Tensor:
    """The answer that shall rise; of two classes the probability of the second."""
    found = kan(rows)
    return torch.softmax(found, dim=1)[:, 1] if found.shape[1] == 2 else found[:, 0]


def largest_violation(kan: KAN, pairs: int) -> float:
    """How far an answer falls where it is promised to rise, as a share of the range of all answers."""
    fall, low, high = 0.0, float("inf"), -float("inf")
    with torch.no_grad():
        for batch in range(-(-pairs // _BATCH)):
            lower, upper = random_pairs(_BATCH, batch)
            before, after = answer(kan, lower), answer(kan, upper)
            fall = max(fall, float((before - after).max()))
            low, high = min(low, float(before.min())), max(high, float(before.max()))
    return fall / (high - low)


def test_no_pair_is_out_of_order(state: KAN) -> None:
    """200,000 pairs in every state of a network."""
    assert largest_violation(state, 200_000) <= _ALLOWED


@pytest.mark.slow
def test_no_pair_of_millions_is_out_of_order(state: KAN) -> None:
    """The same for 1.25 million pairs in each of eight states, so 10 million together."""
    assert largest_violation(state, 1_250_000) <= _ALLOWED


def test_the_test_would_find_a_violation(state: KAN) -> None:
    """A network whose edges have lost their directions is caught by the same pairs."""
    free = state.with_layers([layer.changed(directions=None) for layer in settled(state).layers])
    with torch.no_grad():
        free.layers[0].get_parameter("coefficients").mul_(-1)
    assert largest_violation(free, 200_000) > 1e-3


def test_settled_parameters_give_the_same_answers(state: KAN) -> None:
    """They are plain coefficients in order; a file of them is the same network, bit for bit."""
    plain = settled(state)
    lower, _ = random_pairs(500, 0)
    assert torch.equal(plain(lower), state(lower))
    for layer in plain.layers:
        if layer.directions is not None:
            parameters = dict(layer.named_parameters())
            assert (parameters["coefficients"].diff() * layer.directions.unsqueeze(-1) >= 0).all()
            assert (parameters["base_weight"] * layer.directions >= 0).all()
    again = checkpoint.from_bytes(checkpoint.to_bytes(plain))
    assert torch.equal(again(lower), plain(lower))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), plain.parameters(), strict=True))


def test_the_other_inputs_are_free(state: KAN) -> None:
    """A free input makes answers rise and fall."""
    lower, _ = random_pairs(5_000, 1)
    moved = lower.clone()
    moved[:, 3:] += torch.rand(5_000, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        change = answer(state, moved) - answer(state, lower)
    assert (change > 0).any()
    assert (change < 0).any()


def test_float32_follows_float64(state: KAN) -> None:
    """The same parameters in float32 give the same answers up to rounding."""
    lower, _ = random_pairs(2_000, 3)
    inside = lower.clamp(-1, 1)
    with torch.no_grad():
        exact = answer(state, inside)
        rounded = answer(copy.deepcopy(settled(state)).float(), inside.float()).double()
    assert float((rounded - exact).abs().max()) <= 1e-4 * float(exact.max() - exact.min())
