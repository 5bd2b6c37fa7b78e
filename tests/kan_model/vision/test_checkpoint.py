"""Image networks as files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.network import checkpoint as flat_checkpoint
from kan_model.network.transform import InputTransform, Softmax
from kan_model.vision import checkpoint
from kan_model.vision.image_kan import ImageKAN
from tests.kan_model.vision.configs import CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_bit_for_bit_the_same_network(name: str, tmp_path: Path) -> None:
    """Tensors, geometry and answers of a saved network are those that it had."""
    image = ImageKAN(CONFIGS[name], seed=6)
    checkpoint.save(image, tmp_path / "image.safetensors")
    again = checkpoint.load(tmp_path / "image.safetensors")
    assert isinstance(again, ImageKAN)
    assert (again.shape, again.shapes) == (image.shape, image.shapes)
    assert [layer.geometry for layer in again.convolutions] == [layer.geometry for layer in image.convolutions]
    saved, found = image.state_dict(), again.state_dict()
    assert saved.keys() == found.keys()
    assert all(torch.equal(saved[key], found[key]) for key in saved)


def test_the_transforms_are_kept() -> None:
    """Scaling and softmax come back as they were written."""
    image = ImageKAN(CONFIGS["one convolution"])
    scaling = InputTransform(np.zeros(20, np.float32), np.full(20, 2, np.float32))
    inputs, outputs = checkpoint.transforms(checkpoint.to_bytes(image, scaling, Softmax()))
    assert inputs is not None
    np.testing.assert_array_equal(inputs.scale, scaling.scale)
    assert isinstance(outputs, Softmax)


def test_flat_networks_are_read_too() -> None:
    """A file of a flat KAN gives a flat KAN."""
    kan = KAN(KANConfig((2, 3, 1)))
    found = checkpoint.from_bytes(flat_checkpoint.to_bytes(kan))
    assert isinstance(found, KAN)
    assert torch.equal(found.layers[0].coefficients, kan.layers[0].coefficients)


def test_a_reader_of_flat_networks_says_what_it_is() -> None:
    """It refuses a network on images by name; other bytes are no checkpoint for either reader."""
    content = checkpoint.to_bytes(ImageKAN(CONFIGS["one convolution"]))
    for read in (flat_checkpoint.from_bytes, flat_checkpoint.transforms):
        with pytest.raises(ValueError, match="a network on images; wanted a flat network"):
            read(content)
    for broken in (b"", b"nothing", content[:-5]):
        with pytest.raises(ValueError, match="not a"):
            checkpoint.from_bytes(broken)
