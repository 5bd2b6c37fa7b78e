"""Import a network of efficient-kan from its state dict."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from kan_model.interop.parts import InteropError, check_dtype, make_layer, read_tensors, take
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN

_PUBLISHED = "layers.N.grid, layers.N.base_weight, layers.N.spline_weight and, optionally, layers.N.spline_scaler"
_KEY = re.compile(r"layers\.(\d+)\.(?:grid|base_weight|spline_weight|spline_scaler)")
_KEY_AT_END = re.compile(_KEY.pattern + "$")
# DataParallel and torch.compile add these prefixes to every name.
_WRAPPERS = ("module.", "_orig_mod.")
_PROBE = torch.tensor([-2.3, -0.8, -0.4, 0.3, 0.7, 1.9])


def from_efficient_kan(source: nn.Module | Mapping[str, Any], *, prefix: str | None = None) -> KAN:
    """A KAN that computes the same as an efficient-kan model, in the model's float type, on the CPU.

    The functions are equal inside the grids, on their knots and outside, where splines fall to zero. The degree follows
    from the shapes. ``spline_scaler`` is multiplied into the coefficients. The base activation must be SiLU, the
    default: a module is checked, a state dict does not tell.

    Args:
        source: The model or its state dict.
        prefix: For a KAN inside a larger model: the part of its tensors' names before ``layers.``, such as "kan.".
            Tensors with other names are ignored. None: the KAN is the whole model, also inside DataParallel or
            torch.compile.

    Returns:
        The network.

    Raises:
        InteropError: names or shapes that efficient-kan does not have; another base activation; knots that coincide;
            numbers that are not finite.

    Source: github.com/Blealtan/efficient-kan, KANLinear.
    """
    if isinstance(source, nn.Module):
        _check_activations(source, prefix or "")
        source = source.state_dict()
    tensors = _select_kan(source, prefix)
    found = {int(match[1]) for match in map(_KEY.fullmatch, tensors) if match}
    if found != set(range(len(found))):
        raise InteropError(f"the layers are {sorted(found)}; wanted 0, 1, … without a gap")
    try:
        return KAN.of_layers([_layer(tensors, index) for index in range(len(found))])
    except InteropError:
        raise
    except ValueError as error:
        raise InteropError(str(error)) from error


def load_efficient_kan_checkpoint(path: Path | str, *, prefix: str | None = None) -> KAN:
    """The network of a file that ``torch.save(model.state_dict(), path)`` wrote; see :func:`from_efficient_kan`.

    Args:
        path: The file.
        prefix: As for :func:`from_efficient_kan`.

    Raises:
        FileNotFoundError: there is no such file.
        InteropError: the file holds no state dict, or as :func:`from_efficient_kan`.
    """
    tensors = read_tensors(Path(path))
    try:
        return from_efficient_kan(tensors, prefix=prefix)
    except InteropError as error:
        raise InteropError(f"{path}: {error}") from error


def _layer(tensors: Mapping[str, Tensor], index: int) -> KANLayer:
    name = f"layers.{index}."
    coefficients = take(tensors, name + "spline_weight", ("outputs", "inputs", "grid_size + spline_order"))
    outputs, inputs, _ = coefficients.shape
    if name + "spline_scaler" in tensors:
        coefficients = coefficients * take(tensors, name + "spline_scaler", (outputs, inputs)).unsqueeze(-1)
    return make_layer(
        f"layer {index}",
        take(tensors, name + "grid", (inputs, "grid_size + 2·spline_order + 1")),
        take(tensors, name + "base_weight", (outputs, inputs)),
        coefficients,
        dtype=check_dtype(tensors[name + "spline_weight"], name + "spline_weight"),
    )


def _select_kan(state: Mapping[str, Any], prefix: str | None) -> dict[str, Tensor]:
    """The tensors of the KAN under efficient-kan's own names."""
    if prefix is None:
        named = {_strip_wrappers(str(name)): value for name, value in state.items()}
    else:
        named = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not any(map(_KEY.fullmatch, named)):
        raise InteropError(
            f"no layer of efficient-kan in {_list_names(list(state))}; wanted {_PUBLISHED}{_prefix_hint(state)}"
        )
    others = [name for name in named if not _KEY.fullmatch(name)]
    if others:
        hint = _prefix_hint(state) if prefix is None else ""
        raise InteropError(f"beside a KAN there is {_list_names(others)}; wanted {_PUBLISHED}{hint}")
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise InteropError(f"{name} is a {type(value).__name__}; wanted a tensor")
    return named


def _prefix_hint(state: Mapping[str, Any]) -> str:
    """A hint that names the prefix of a KAN inside a larger model; empty if there is none."""
    found = sorted({name.removesuffix(match[0]) for name in map(str, state) if (match := _KEY_AT_END.search(name))})
    given = [name for name in found if name]
    return f"; for a KAN inside a larger model give its prefix, here {' or '.join(given[:3])}" if given else ""


def _check_activations(model: nn.Module, prefix: str) -> None:
    for name, module in model.named_modules():
        activation = getattr(module, "base_activation", None)
        if activation is None or not f"{name}.".startswith(prefix):
            continue
        if not torch.allclose(activation(_PROBE), silu(_PROBE)):
            raise InteropError(f"{name}: its base activation is {activation}; wanted SiLU")


def _strip_wrappers(name: str) -> str:
    while name.startswith(_WRAPPERS):
        name = name.split(".", 1)[1]
    return name


def _list_names(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "nothing"
