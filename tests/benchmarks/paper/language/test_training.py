"""The fit and the loss."""

import math

import pytest
import torch
from torch.nn.functional import log_softmax

from benchmarks.paper.language.network import LanguageModel, Mixer, Shape
from benchmarks.paper.language.text import Text
from benchmarks.paper.language.training import fit, loss


def _counting() -> Text:
    """0, 1, 2, 3, 4, 0, …: each character tells the next."""
    tokens = torch.arange(600) % 5
    return Text("abcde", tokens, tokens, tokens)


@pytest.mark.parametrize("mixer", ["KAN", "MLP"])
def test_a_rule_of_the_text_is_learned(mixer: Mixer) -> None:
    """From the entropy of five characters to almost nothing; the looks tell the way there."""
    network, text = LanguageModel(Shape(5, 16, context=8), mixer), _counting()
    found = fit(network, text, steps=60, learning_rate=0.01, seed=0, looks=6)
    assert len(found.losses) == len(found.seconds) == 6
    assert list(found.seconds) == sorted(found.seconds)
    assert found.losses[-1] == loss(network, text.validation, 128)
    assert found.losses[-1] < 0.1 < math.log(5)


def test_the_loss_is_the_mean_over_all_characters() -> None:
    """The same as one by one in float64, with a last window that is not full left out."""
    network, tokens = LanguageModel(Shape(5, 16, context=8), "MLP").double(), _counting().test[:44]
    with torch.no_grad():
        logs = log_softmax(network(tokens[:40].view(5, 8)), dim=-1).flatten(0, 1)
    wanted = -logs[torch.arange(40), tokens[1:41]].mean()
    assert loss(network, tokens) == pytest.approx(float(wanted), rel=1e-12)
