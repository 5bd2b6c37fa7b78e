"""The lowering of networks on images.

A convolution is the layer of its edges on all pixels, then a sum of shifted sums; or basis functions on all pixels,
then ONNX's own Conv. Which one is faster depends on sizes and strategy, so both are measured.
"""

from kan_model.lowering.images.driver import LoweredImage, lower_image

__all__ = ["LoweredImage", "lower_image"]
