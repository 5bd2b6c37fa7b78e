"""KANs as safetensors files: the tensors unchanged, everything else as JSON in the file's header."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from kan_model.network.layer import KANLayer
from kan_model.network.members import Members
from kan_model.network.network import KAN
from kan_model.network.products import products_of
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.transform import Affine, Exponential, InputTransform, Intervals, OutputTransform, Softmax

# Version 2 adds symbolic edges, version 3 biases, version 4 gap inputs and an exp of the outputs, version 5 nodes that
# multiply, version 6 edges with a direction. A network without these is written as 1, for older libraries.
FORMAT_VERSIONS = (1, 2, 3, 4, 5, 6)
# The header of a network on images has this in place of "kan"; kan_model.vision.checkpoint reads it.
IMAGE_KEY = "image_kan"
_SCALE = "intervals.scale."


def to_bytes(
    kan: KAN,
    inputs: InputTransform | None = None,
    outputs: OutputTransform | None = None,
    bounds: Intervals | None = None,
) -> bytes:
    """The network, its transforms of inputs and outputs, and its intervals, as the content of a safetensors file."""
    layers = [_options(layer) for layer in kan.layers]
    version = 2 if any("symbolic" in options for options in layers) else 1
    if any(layer.bias is not None for layer in kan.layers):
        version = 3
    if isinstance(outputs, Exponential) or (inputs is not None and inputs.gaps is not None):
        version = 4
    if any(layer.products is not None for layer in kan.layers):
        version = 5
    if any(layer.directions is not None for layer in kan.layers):
        version = 6
    description: dict[str, Any] = {"format_version": version, "layers": layers}
    # safetensors refuses tensors that are views of others.
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in kan.state_dict().items()}
    if isinstance(outputs, Softmax):
        description["softmax"] = True
    if kan.members is not None:
        # No new version: a library that does not know members reads the network alone, which answers the same.
        description["members"] = vars(kan.members)
    if isinstance(outputs, Exponential):
        description["exponential"] = True
    for prefix, transform in (("inputs", inputs), ("outputs", None if isinstance(outputs, Softmax) else outputs)):
        for name, values in vars(transform).items() if transform else ():
            if values is not None:
                tensors[f"{prefix}.{name}"] = torch.from_numpy(values).clone()
    if bounds is not None:
        # No new version either: an older library reads the network, whose answers are the same without bounds.
        tensors["intervals.half_width"] = torch.from_numpy(bounds.half_width).clone()
        description["intervals"] = {"kind": bounds.kind}
        if bounds.scale is not None:
            description["intervals"]["scale"] = _options(bounds.scale)
            scale = bounds.scale.state_dict().items()
            tensors |= {f"{_SCALE}{name}": each.detach().contiguous().clone() for name, each in scale}
    return save_tensors(tensors, metadata={"kan": json.dumps(description)})


def from_bytes(content: bytes) -> KAN:
    """The network, bit for bit the one that was saved.

    Raises:
        ValueError: the content is no KAN checkpoint, or has a format version that this library does not know.
    """
    try:
        description = _description(content)
        tensors = load_tensors(content)
        layers = [_layer(tensors, f"layers.{index}.", options) for index, options in enumerate(description["layers"])]
        members = _members(description.get("members"))
    except (SafetensorError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a KAN checkpoint: {error}") from error
    return KAN.of_layers(layers, members)


def transforms(content: bytes) -> tuple[InputTransform | None, OutputTransform | None]:
    """The transforms of inputs and outputs that :func:`to_bytes` wrote beside the network; None where there is none.

    Raises:
        ValueError: as :func:`from_bytes`.
    """
    try:
        description = _description(content)
        tensors = load_tensors(content)
        inputs, outputs = _vectors(tensors, "inputs."), _vectors(tensors, "outputs.")
        before = InputTransform(**inputs) if inputs else None
        scaling = Exponential if description.get("exponential", False) else Affine
        behind: OutputTransform | None = scaling(**outputs) if outputs else None
    except (SafetensorError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a KAN checkpoint: {error}") from error
    return before, Softmax() if description.get("softmax", False) else behind


def intervals(content: bytes) -> Intervals | None:
    """The bounds around the answers that :func:`to_bytes` wrote beside the network; None where there are none.

    Raises:
        ValueError: as :func:`from_bytes`.
    """
    try:
        written = _description(content).get("intervals")
        if written is None:
            return None
        tensors = load_tensors(content)
        scale = _layer(tensors, _SCALE, written["scale"]) if "scale" in written else None
        return Intervals(tensors["intervals.half_width"].numpy(), written["kind"], scale)
    except (SafetensorError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a KAN checkpoint: {error}") from error


def save(kan: KAN, path: Path) -> None:
    """Write the network. A reader of the path sees the old file or the whole new one, never a part."""
    write_atomically(path, to_bytes(kan))


def load(path: Path) -> KAN:
    """Read a network.

    Raises:
        FileNotFoundError: there is no such file.
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
    except OSError as error:  # one of a write, as on a full disk, names no file
        raise OSError(error.errno, error.strerror, error.filename or str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def _vectors(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): each.numpy() for name, each in tensors.items() if name.startswith(prefix)}


def header(content: bytes) -> dict[str, Any]:
    """Our part of the header. A safetensors file is the header's length (8 bytes), the header as JSON, the tensors.

    Raises:
        KeyError, TypeError, ValueError: the content is no such file, or has no such part.
    """
    found: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return found


def _description(content: bytes) -> dict[str, Any]:
    found = header(content)
    if IMAGE_KEY in found:
        raise ValueError("a network on images; wanted a flat network, or kan_model.vision.checkpoint to read it")
    description: dict[str, Any] = json.loads(found["kan"])
    if description["format_version"] not in FORMAT_VERSIONS:
        known = ", ".join(map(str, FORMAT_VERSIONS))
        raise ValueError(f"format version {description['format_version']}; this library reads {known}")
    return description


def _members(written: dict[str, Any] | None) -> Members | None:
    return None if written is None else Members(*(tuple(map(tuple, written[name])) for name in ("nodes", "shifts")))


def _options(layer: KANLayer) -> dict[str, Any]:
    options: dict[str, Any] = {"degree": layer.degree, "outside": layer.outside}
    if layer.symbolic_places:
        places = zip(layer.symbolic_places, layer.symbolic_functions, strict=True)
        options["symbolic"] = [[output, input_, function] for (output, input_), function in places]
    if layer.products is not None:
        options["products"] = layer.products.factors
    return options


def _layer(tensors: dict[str, torch.Tensor], prefix: str, options: dict[str, Any]) -> KANLayer:
    knots = tensors.get(prefix + "knots")
    symbolic = [
        SymbolicEdge(output, input_, function, a=1.0, b=0.0, c=1.0, d=0.0)
        for output, input_, function in options.get("symbolic", ())
    ]
    layer = KANLayer(
        tensors[prefix + "base_weight"],
        tensors[prefix + "coefficients"],
        degree=options["degree"],
        outside=options["outside"],
        domain=tensors[prefix + "domain"] if knots is None else None,
        knots=knots,
        edge_mask=tensors[prefix + "edge_mask"],
        symbolic=symbolic,
        bias=tensors.get(prefix + "bias"),
        products=products_of(options["products"]) if "products" in options else None,
        directions=tensors.get(prefix + "directions"),
    )
    if layer.symbolic_affine is not None:
        affine = tensors[prefix + "symbolic_affine"]
        if affine.shape != layer.symbolic_affine.shape:
            raise ValueError(f"symbolic_affine has shape {tuple(affine.shape)}; wanted {[len(symbolic), 4]}")
        # The tensor as it was saved, like all others, even if a diverged training left NaN in it.
        layer.symbolic_affine = nn.Parameter(affine)
    return layer
