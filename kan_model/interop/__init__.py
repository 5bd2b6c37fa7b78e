"""Import networks that other libraries trained, so that they can be lowered and served."""

from kan_model.interop.efficient_kan import from_efficient_kan, load_efficient_kan_checkpoint
from kan_model.interop.parts import InteropError
from kan_model.interop.pykan import from_pykan
from kan_model.interop.pykan_checkpoint import load_pykan_checkpoint

__all__ = [
    "InteropError",
    "from_efficient_kan",
    "from_pykan",
    "load_efficient_kan_checkpoint",
    "load_pykan_checkpoint",
]
