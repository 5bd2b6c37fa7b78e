"""A causal transformer on characters: with an MLP in each block, or with a KAN of as many parameters."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from kan_model import KAN, KANConfig

Mixer = Literal["KAN", "MLP"]
# A layer norm answers with mean 0 and variance 1: at the start nearly all values are inside.
_DOMAIN = (-3.0, 3.0)
_GRID_SIZE, _DEGREE = 3, 3
_MLP_FACTOR = 4
# Vectors start as small as what the blocks add to them, so that attention finds the characters before.
_SMALL = 0.1


@dataclass(frozen=True)
class Shape:
    """Sizes of a language model.

    Attributes:
        vocabulary: Number of characters.
        width: Numbers for each token, a multiple of ``heads``.
        context: The most tokens of a sequence.
        blocks: Number of blocks.
        heads: Number of attention heads.
    """

    vocabulary: int
    width: int
    context: int = 64
    blocks: int = 2
    heads: int = 4


class Attention(nn.Module):
    """Causal attention: a token reads itself and the tokens before it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.reads = nn.Linear(shape.width, 3 * shape.width)
        self.answers = nn.Linear(shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, sequence, width]`` -> the same shape."""
        batch, sequence, width = x.shape
        parts = self.reads(x).view(batch, sequence, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        read = scaled_dot_product_attention(queries, keys, values, is_causal=True)
        answers: Tensor = self.answers(read.transpose(1, 2).reshape(batch, sequence, width))
        return answers


class Block(nn.Module):
    """Attention, then a mixer that sees each token alone."""

    def __init__(self, shape: Shape, mixer: nn.Module) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(shape.width), Attention(shape)
        self.mixer_norm, self.mixer = nn.LayerNorm(shape.width), mixer

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, sequence, width]`` -> the same shape."""
        x = x + self.attention(self.attention_norm(x))
        rows: Tensor = self.mixer(self.mixer_norm(x).flatten(0, 1))
        return x + rows.view(x.shape)


class LanguageModel(nn.Module):
    """Predicts the next character at every place of a sequence.

    Attributes:
        shape: Its sizes.
        characters: The vector of each character.
        positions: ``[context, width]``, added to the vectors.
        blocks: The blocks, first block first.
        norm: In front of the logits.
        logits: From a token's vector to the logits of the next character.
    """

    def __init__(self, shape: Shape, mixer: Mixer, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.characters = nn.Embedding(shape.vocabulary, shape.width)
            torch.nn.init.normal_(self.characters.weight, std=_SMALL)
            self.positions = nn.Parameter(torch.randn(shape.context, shape.width) * _SMALL)
            blocks = [Block(shape, _mixer(shape.width, mixer, seed, index)) for index in range(shape.blocks)]
            self.blocks = nn.ModuleList(blocks)
            self.norm = nn.LayerNorm(shape.width)
            self.logits = nn.Linear(shape.width, shape.vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits ``[batch, sequence, vocabulary]`` for tokens ``[batch, sequence]``, at most ``context`` in a row."""
        x = self.characters(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.logits(self.norm(x))
        return logits


def kan_width(width: int) -> tuple[int, int, int]:
    """The KAN that has about as many parameters as the MLP width → 4·width → width."""
    numbers = (2 * _MLP_FACTOR * width + _MLP_FACTOR + 1) * width
    return width, round(numbers / (2 * width * (_GRID_SIZE + _DEGREE + 1))), width


def _mixer(width: int, mixer: Mixer, seed: int, block: int) -> nn.Module:
    if mixer == "KAN":
        config = KANConfig(
            kan_width(width), grid_size=_GRID_SIZE, degree=_DEGREE, domain=_DOMAIN, hidden_domain=_DOMAIN
        )
        return KAN(config, seed=1000 * seed + block)
    return nn.Sequential(nn.Linear(width, _MLP_FACTOR * width), nn.SiLU(), nn.Linear(_MLP_FACTOR * width, width))
