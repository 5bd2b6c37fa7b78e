"""The contenders."""

import torch
from torch import Tensor, nn

from kan_model import KAN, KANConfig
from kan_model.vision.geometry import Convolution
from kan_model.vision.image_kan import ImageConfig, ImageKAN, image_parameter_count

SHAPE, CLASSES = (1, 8, 8), 10
# Pixels are scaled to [0, 1], as the recipe digits-images says.
PIXELS = (0.0, 1.0)
CONFIG = ImageConfig(SHAPE, (Convolution(8, pool="average"), Convolution(16)), (CLASSES,), grid_size=5, domain=PIXELS)


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
