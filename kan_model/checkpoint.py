"""KANs as safetensors: the tensors as they are, the rest as JSON in the file's header."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from kan_model.layer import KANLayer
from kan_model.network import KAN

FORMAT_VERSION = 1


def to_bytes(kan: KAN) -> bytes:
    """The network as the content of a safetensors file."""
    layers = [{"degree": layer.degree, "outside": layer.outside} for layer in kan.layers]
    header = {"kan": json.dumps({"format_version": FORMAT_VERSION, "layers": layers})}
    # safetensors refuses tensors that are views of others.
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in kan.state_dict().items()}
    return save_tensors(tensors, metadata=header)


def from_bytes(content: bytes) -> KAN:
    """The network, equal to the bit to the one that was saved.

    Raises:
        ValueError: content that is no such checkpoint, or one of a format this version does not know.
    """
    try:
        description = _description(content)
        tensors = load_tensors(content)
        layers = [_layer(tensors, index, options) for index, options in enumerate(description["layers"])]
    except (SafetensorError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a KAN checkpoint: {error}") from error
    return KAN.of_layers(layers)


def save(kan: KAN, path: Path) -> None:
    """Write the network; whoever reads the path sees the old file or the whole new one."""
    write_atomically(path, to_bytes(kan))


def load(path: Path) -> KAN:
    """Read a network.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no KAN checkpoint.
    """
    try:
        return from_bytes(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves either the old content or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _description(content: bytes) -> dict[str, Any]:
    """Our part of the header: a length of 8 bytes, then JSON (the safetensors format)."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    description: dict[str, Any] = json.loads(header["__metadata__"]["kan"])
    if description["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format version {description['format_version']}; this library reads {FORMAT_VERSION}")
    return description


def _layer(tensors: dict[str, torch.Tensor], index: int, options: dict[str, Any]) -> KANLayer:
    prefix = f"layers.{index}."
    knots = tensors.get(prefix + "knots")
    return KANLayer(
        tensors[prefix + "base_weight"],
        tensors[prefix + "coefficients"],
        degree=options["degree"],
        outside=options["outside"],
        domain=tensors[prefix + "domain"] if knots is None else None,
        knots=knots,
        edge_mask=tensors[prefix + "edge_mask"],
    )
