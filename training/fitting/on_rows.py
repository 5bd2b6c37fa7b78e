"""A network on rows that stay the same from step to step.

`repeated_answers` is for first-order optimizers. A least-squares solver sees `OnRows`: the answers as a function of one
vector of parameters, in float64. The derivatives of a KAN are written layer by layer; those of any other
network come from torch.func.
"""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from kan_model import KAN, KANLayer
from kan_model.rows.jacobian import parameter_columns, write_jacobian
from kan_model.rows.known_rows import KnownRows
from kan_model.splines.edge_sums import is_plain
from training.fitting.evaluation import answers, block_rows

# Derivatives by all parameters of a model that are written at once: 16 MiB.
_BLOCK_NUMBERS = 2**21


def repeated_answers(network: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """A function that gives the network's answers to rows ``[rows, inputs]``, with gradients of its parameters.

    For a KAN, what the first layer makes of the rows without its parameters is computed once, up to 64 MiB.
    """
    if isinstance(network, KAN) and _is_plain_kan(network) and not is_plain():
        known = KnownRows.of(network, x)
        if known is not None:
            return partial(known.answers, network)
    return partial(network, x)


class OnRows(Protocol):
    """The answers to some rows as a function of the parameters that have a gradient."""

    @property
    def outputs(self) -> int:
        """The number of answers of a row."""

    @property
    def start(self) -> Tensor:
        """The parameters of the network as a vector, ``[parameters]``."""

    def parts(self, place: Tensor) -> dict[str, Tensor]:
        """The parameters by name, for a vector ``[parameters]``."""

    def answers(self, place: Tensor) -> Tensor:
        """The answers with these parameters, ``[rows, outputs]``."""

    def write_jacobian(self, place: Tensor, rows: slice, found: Tensor) -> Tensor:
        """Write the derivatives of some rows' answers to ``[rows, outputs, parameters]``; returns these answers."""


@runtime_checkable
class HasOnRows(Protocol):
    """A network that knows a better way than torch.func."""

    def on_rows(self, x: Tensor) -> OnRows:
        """The network, which is not changed, on rows ``[rows, inputs]``."""


def on_rows(network: nn.Module, x: Tensor) -> OnRows:
    """The network, which is not changed, on rows ``[rows, inputs]``. It computes each row alone."""
    if isinstance(network, HasOnRows):
        return network.on_rows(x)
    return _KANOnRows(network, x) if _is_plain_kan(network) and _is_free(network) else _ModuleOnRows(network, x)


def _is_free(network: nn.Module) -> bool:
    """Whether all edges are free: the others' coefficients are no parameters, so their derivatives are others too."""
    return all(layer.directions is None for layer in network.modules() if isinstance(layer, KANLayer))


def _is_plain_kan(network: nn.Module) -> bool:
    """Whether the network is layers and nothing else: none of them twice, no class and no hook of the user's own."""
    if type(network) is not KAN:
        return False
    layers = list(network.layers)
    hooks = any(
        each._forward_hooks or each._forward_pre_hooks or each._backward_hooks or each._backward_pre_hooks
        for each in (network, *layers)
    )
    return len(set(layers)) == len(layers) and all(type(layer) is KANLayer for layer in layers) and not hooks


class _Parameters:
    """A copy of a network in float64, and the parameters of it that have a gradient."""

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).double()
        self.free = {name: p.detach().clone() for name, p in self.network.named_parameters() if p.requires_grad}
        self.columns = parameter_columns(self.free)
        self.network.requires_grad_(False)

    @property
    def start(self) -> Tensor:
        return torch.cat([parameter.flatten() for parameter in self.free.values()])

    def parts(self, place: Tensor) -> dict[str, Tensor]:
        return {name: place[self.columns[name]].view_as(old) for name, old in self.free.items()}


class _KANOnRows(_Parameters):
    """Layer by layer. What the first layer makes of the rows without its parameters is computed once, up to 64 MiB."""

    def __init__(self, network: nn.Module, x: Tensor) -> None:
        super().__init__(network)
        assert isinstance(self.network, KAN)
        self._kan, self._x = self.network, x.double()
        self._known = KnownRows.of(self._kan, self._x)
        self.outputs = self._kan.width[-1]

    def answers(self, place: Tensor) -> Tensor:
        self._set(place)
        if self._known is None:
            return answers(self._kan, self._x)
        step = block_rows(self._kan)
        blocks = (self._known[start : start + step] for start in range(0, len(self._x), step))
        with torch.no_grad():
            return torch.cat([block.answers(self._kan) for block in blocks])

    def write_jacobian(self, place: Tensor, rows: slice, found: Tensor) -> Tensor:
        self._set(place)
        some = self._x[rows] if self._known is None else self._known[rows]
        return write_jacobian(self._kan, some, self.columns, found)

    def _set(self, place: Tensor) -> None:
        with torch.no_grad():
            for name, values in self.parts(place).items():
                self._kan.get_parameter(name).copy_(values)


class SomeOnRows:
    """Only some numbers of the parameters of another model can change.

    Args:
        model: With all its parameters.
        places: int64 ``[parameters]``, their places in the vector of the model.
        name: Their name as one parameter.
    """

    def __init__(self, model: OnRows, places: Tensor, name: str) -> None:
        self._model, self._places, self._name = model, places, name
        self._whole, self.outputs = model.start, model.outputs

    @property
    def start(self) -> Tensor:
        """As of :class:`OnRows`."""
        return self._whole[self._places]

    def parts(self, place: Tensor) -> dict[str, Tensor]:
        """As of :class:`OnRows`."""
        return {self._name: place}

    def answers(self, place: Tensor) -> Tensor:
        """As of :class:`OnRows`."""
        return self._model.answers(self._with(place))

    def write_jacobian(self, place: Tensor, rows: slice, found: Tensor) -> Tensor:
        """As of :class:`OnRows`."""
        # The model writes the derivatives by all its parameters, which may be many more.
        step = max(1, _BLOCK_NUMBERS // (self.outputs * len(self._whole)))
        every = found.new_empty(min(step, len(found)), self.outputs, len(self._whole))
        answers = []
        for start in range(0, len(found), step):
            part = found[start : start + step]
            some = slice(rows.start + start, rows.start + start + len(part))
            answers.append(self._model.write_jacobian(self._with(place), some, every[: len(part)]))
            part.copy_(every[: len(part)].index_select(2, self._places))
        return torch.cat(answers)

    def _with(self, place: Tensor) -> Tensor:
        return self._whole.index_copy(0, self._places, place)


class _ModuleOnRows(_Parameters):
    """Any network, by torch.func."""

    def __init__(self, network: nn.Module, x: Tensor) -> None:
        super().__init__(network)
        self._x = x.double()
        with torch.no_grad():
            self.outputs: int = self.network(self._x[:1]).shape[1]
        self._jacobian = vmap(jacrev(lambda place, row: self._call(self.parts(place), row[None])[0]), (None, 0))

    def answers(self, place: Tensor) -> Tensor:
        parts = self.parts(place)
        with torch.no_grad():
            return torch.cat([self._call(parts, x) for x in torch.split(self._x, block_rows(self.network))])

    def write_jacobian(self, place: Tensor, rows: slice, found: Tensor) -> Tensor:
        found.copy_(self._jacobian(place, self._x[rows]).detach())
        with torch.no_grad():
            return self._call(self.parts(place), self._x[rows])

    def _call(self, parts: Mapping[str, Tensor], x: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.network, dict(parts), (x,))
        return outputs
