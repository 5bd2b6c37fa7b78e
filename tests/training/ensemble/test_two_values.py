"""Inputs that take two values get straight edges; no answer to a row changes."""

import torch

from kan_model import KAN, KANConfig, mean_network
from kan_model.network.straight import straight_inputs
from training.ensemble.two_values import straighten_two_valued


def network(*width: int, seed: int = 0) -> KAN:
    """A random network in float64."""
    return KAN(KANConfig(width, noise=0.5), seed=seed, dtype=torch.float64)


def rows_with_two_values() -> torch.Tensor:
    """40 rows of 3 inputs: input 0 is -1 or 1, input 1 any number, input 2 always 1."""
    generator = torch.Generator().manual_seed(0)
    rows = 2 * torch.rand(40, 3, generator=generator, dtype=torch.float64) - 1
    rows[:, 0] = torch.sign(rows[:, 0])
    rows[:, 2] = 1
    return rows


def test_answers_to_the_rows_stay() -> None:
    """In float64 to 1e-12; only the input with two values has become straight, and the argument is as it was."""
    kan, rows = network(3, 4, 2), rows_with_two_values()
    straight = straighten_two_valued(kan, rows)
    with torch.no_grad():
        torch.testing.assert_close(straight(rows), kan(rows), rtol=1e-12, atol=1e-12)
    assert straight_inputs(straight.layers[0]).tolist() == [True, False, False]
    assert not straight_inputs(kan.layers[0]).any()


def test_members_stay() -> None:
    """The straight network has the members of the mean."""
    mean = mean_network([network(3, 4, 2), network(3, 4, 2, seed=1)])
    assert straighten_two_valued(mean, rows_with_two_values()).members == mean.members


def test_nothing_to_do() -> None:
    """Without such an input, and under decay, the network itself comes back."""
    kan = network(3, 2)
    assert straighten_two_valued(kan, rows_with_two_values()[:, [1, 1, 1]]) is kan
    decaying = KAN(KANConfig((3, 2), outside="decay"))
    assert straighten_two_valued(decaying, rows_with_two_values()) is decaying
