"""Small image networks."""

from kan_model.vision.geometry import Convolution
from kan_model.vision.image_kan import ImageConfig

# Stride, groups, padding, average pooling, an image that is not square.
CONFIGS = {
    "one convolution": ImageConfig((1, 5, 4), (Convolution(2),), (3,), noise=0.5),
    "stride and groups": ImageConfig(
        (2, 6, 7), (Convolution(4, groups=2, stride=2), Convolution(2, kernel=2, padding=0)), (3,), noise=0.5
    ),
    "pooling": ImageConfig(
        (2, 6, 6),
        (Convolution(4, pool="average"), Convolution(4, padding=2, kernel=2, groups=4, stride=2)),
        (3, 2),
        grid_size=3,
        noise=0.5,
    ),
}
