"""The contenders."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from kan_model import KAN, KANConfig
from kan_model.vision.geometry import Convolution
from kan_model.vision.image_kan import ImageConfig, ImageKAN, image_parameter_count
from training.recipe.config import load_recipe

SHAPE, CLASSES = (1, 8, 8), 10
RECIPE = load_recipe(Path(__file__).parents[4] / "training" / "recipes" / "digits-images.toml")
# The recipe's scaling makes pixels from 0 to 1.
PIXELS = (0.0, 1.0)
CONFIG = ImageConfig(
    SHAPE,
    tuple(Convolution(**section.model_dump()) for section in RECIPE.network.convolutions),
    (*RECIPE.network.hidden, CLASSES),
    grid_size=RECIPE.fit.grids[0],
    degree=RECIPE.network.degree,
    domain=PIXELS,
)


class CNN(nn.Module):
    """The convolutional KAN's shape with ordinary convolutions and SiLU, ``[rows, 64]`` to ``[rows, 10]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2 * channels * 16, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        answers: Tensor = self.network(x.view(-1, *SHAPE))
        return answers


def convolutional_kan(seed: int) -> ImageKAN:
    """The network on images."""
    return ImageKAN(CONFIG, seed=seed)


def flat_kan(seed: int) -> KAN:
    """A KAN of one hidden level, of as many parameters as the network on images, up to a node."""
    wanted = image_parameter_count(ImageKAN(CONFIG))
    numbers = CONFIG.grid_size + CONFIG.degree + 1
    hidden = round(wanted / (numbers * (64 + CLASSES)))
    return KAN(KANConfig((64, hidden, CLASSES), grid_size=CONFIG.grid_size, domain=PIXELS), seed=seed)


def cnn(seed: int) -> CNN:
    """A CNN of as many parameters as the network on images, up to a channel."""
    wanted = image_parameter_count(ImageKAN(CONFIG))
    sizes = [(channels, sum(each.numel() for each in CNN(channels).parameters())) for channels in range(8, 64)]
    channels = min(sizes, key=lambda size: abs(size[1] - wanted))[0]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return CNN(channels)


def mlp(hidden: Sequence[int], seed: int) -> nn.Sequential:
    """An MLP with SiLU after each hidden layer, ``[rows, 64]`` to ``[rows, 10]``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules: list[nn.Module] = []
        for reads, feeds in itertools.pairwise((math.prod(SHAPE), *hidden)):
            modules += [nn.Linear(reads, feeds), nn.SiLU()]
        return nn.Sequential(*modules, nn.Linear(hidden[-1], CLASSES))


def hidden_for(layers: int) -> tuple[int, ...]:
    """Hidden layers of equal width that give an MLP the parameters of the network on images, up to a node."""
    wanted = image_parameter_count(ImageKAN(CONFIG))

    def count(width: int) -> int:
        return width * (math.prod(SHAPE) + 1) + (layers - 1) * width * (width + 1) + (width + 1) * CLASSES

    return (min(range(8, 1024), key=lambda width: abs(count(width) - wanted)),) * layers
