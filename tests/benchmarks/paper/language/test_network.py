"""The language model in torch."""

import pytest
import torch

from benchmarks.paper.language.contest import WIDTHS
from benchmarks.paper.language.network import LanguageModel, Mixer, Shape

SHAPE = Shape(vocabulary=11, width=16, context=12)
MIXERS: tuple[Mixer, ...] = ("KAN", "MLP")


@pytest.mark.parametrize("mixer", MIXERS)
def test_a_later_token_changes_no_earlier_logit(mixer: Mixer) -> None:
    """And it changes the logits at its own place and behind it."""
    network = LanguageModel(SHAPE, mixer).double()
    tokens = torch.randint(11, (3, 12), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 11
    with torch.no_grad():
        difference = (network(tokens) - network(changed)).abs().amax(dim=(0, 2))
    assert difference[:7].max() <= 1e-12
    assert difference[7:].min() > 1e-6


@pytest.mark.parametrize("width", WIDTHS)
def test_both_models_have_equally_many_parameters(width: int) -> None:
    """The whole models, within 3 %; whole numbers of nodes allow no less at width 16."""
    networks = [LanguageModel(Shape(103, width), mixer) for mixer in MIXERS]
    kan, mlp = (sum(parameter.numel() for parameter in network.parameters()) for network in networks)
    assert kan == pytest.approx(mlp, rel=0.03)


def test_the_same_seed_gives_the_same_network() -> None:
    """And torch's own generator is as it was before."""
    state = torch.random.get_rng_state()
    first, second, other = (LanguageModel(SHAPE, "KAN", seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, values in first.items():
        assert torch.equal(values, second[name])
    assert not torch.equal(first["blocks.0.mixer.layers.0.coefficients"], other["blocks.0.mixer.layers.0.coefficients"])
