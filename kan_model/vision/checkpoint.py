"""Image networks as safetensors files: the checkpoints of their layers, and how they fit together as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from kan_model.network import checkpoint
from kan_model.network.network import KAN
from kan_model.network.transform import InputTransform, OutputTransform
from kan_model.vision.convolution import ConvolutionLayer
from kan_model.vision.geometry import Convolution
from kan_model.vision.image_kan import ImageKAN

# The marker of the format, and its version.
_KEY, _VERSION = checkpoint.IMAGE_KEY, 1
_HEAD = "head"
_NO_CHECKPOINT = (SafetensorError, KeyError, TypeError, AttributeError, IndexError, json.JSONDecodeError)


def to_bytes(image: ImageKAN, inputs: InputTransform | None = None, outputs: OutputTransform | None = None) -> bytes:
    """The network, and the transforms of its inputs and outputs, as the content of a safetensors file.

    Each convolution's edges and the head are KAN checkpoints whose tensors have a prefix; the head has the transforms.
    """
    parts = {f"convolutions.{i}": checkpoint.to_bytes(KAN.of_layers([layer.edges]))
             for i, layer in enumerate(image.convolutions)}  # fmt: skip
    parts[_HEAD] = checkpoint.to_bytes(image.head, inputs, outputs)
    tensors = {
        f"{part}/{name}": each for part, content in parts.items() for name, each in load_tensors(content).items()
    }
    description = {
        "format_version": _VERSION,
        "shape": image.shape,
        "geometries": [asdict(layer.geometry) for layer in image.convolutions],
        "parts": {part: checkpoint.header(content)["kan"] for part, content in parts.items()},
    }
    return save_tensors(tensors, metadata={_KEY: json.dumps(description)})


def from_bytes(content: bytes) -> ImageKAN | KAN:
    """The network, bit for bit the one that was saved; a flat KAN from its own checkpoint.

    Raises:
        ValueError: the content is no checkpoint, or has a format version that this library does not know.
    """
    if not _is_image(content):
        return checkpoint.from_bytes(content)
    try:
        description, parts = _parts(content)
        geometries = [Convolution(**geometry) for geometry in description["geometries"]]
        edges = [checkpoint.from_bytes(parts[f"convolutions.{i}"]).layers[0] for i in range(len(geometries))]
        channels, height, width = description["shape"]
        layers = [ConvolutionLayer(*pair) for pair in zip(edges, geometries, strict=True)]
        return ImageKAN.of_parts((channels, height, width), layers, checkpoint.from_bytes(parts[_HEAD]))
    except _NO_CHECKPOINT as error:
        raise ValueError(f"not a checkpoint of an image network: {error!r}") from error


def transforms(content: bytes) -> tuple[InputTransform | None, OutputTransform | None]:
    """The transforms that :func:`to_bytes` wrote beside the network; None where there is none.

    Raises:
        ValueError: as :func:`from_bytes`.
    """
    if not _is_image(content):
        return checkpoint.transforms(content)
    try:
        return checkpoint.transforms(_parts(content)[1][_HEAD])
    except _NO_CHECKPOINT as error:
        raise ValueError(f"not a checkpoint of an image network: {error!r}") from error


def save(image: ImageKAN, path: Path) -> None:
    """Write the network. A reader of the path sees the old file or the whole new one, never a part."""
    checkpoint.write_atomically(path, to_bytes(image))


def load(path: Path) -> ImageKAN | KAN:
    """Read a network.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint.
    """
    try:
        return from_bytes(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _is_image(content: bytes) -> bool:
    try:
        return _KEY in checkpoint.header(content)
    except (KeyError, TypeError, AttributeError, ValueError):
        return False


def _parts(content: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The description, and each part as a checkpoint of its own."""
    description: dict[str, Any] = json.loads(checkpoint.header(content)[_KEY])
    if description["format_version"] != _VERSION:
        raise ValueError(f"format version {description['format_version']}; this library reads {_VERSION}")
    tensors = load_tensors(content)
    parts = {}
    for part, header in description["parts"].items():
        own = {name.removeprefix(f"{part}/"): each for name, each in tensors.items() if name.startswith(f"{part}/")}
        parts[part] = save_tensors(own, metadata={"kan": header})
    return description, parts
