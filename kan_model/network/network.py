"""A Kolmogorov–Arnold network: layers of learnable edge functions, one after another."""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kan_model.network.initialization import INITIALIZATIONS, Initialization, LayerShape
from kan_model.network.layer import KANLayer, Outside
from kan_model.network.members import Members
from kan_model.network.products import MOST_FACTORS, level_products
from kan_model.splines.bspline import check_grid, uniform_knots

Interval = tuple[float, float]
# Nodes of a level, or (nodes that add, nodes that multiply).
Level = int | tuple[int, int]
_NOISE = 0.1


@dataclass(frozen=True)
class KANConfig:
    """Shape and initial values of a new KAN.

    Attributes:
        width: Nodes per level, inputs first: (2, 5, 1). A level behind the inputs may be a pair, (nodes that add, nodes
            that multiply): (2, (0, 1), 1).
        grid_size: Number of intervals of every spline.
        degree: Degree of the splines, 1 to 5 (3 = cubic).
        outside: The value of a spline beyond its domain, in every layer: "clamp" clips its argument to the domain,
            "decay" lets the basis functions fall to zero.
        domain: The domain of the first layer's splines: one interval for all inputs, or one per input.
        hidden_domain: The domain of the splines in all further layers.
        noise: Size of the initial coefficients: their standard deviation is noise / √(inputs of the layer). Only for
            initialization = "paper"; the others have their own sizes.
        initialization: The random start: "paper", "power-law" or "variance-preserving", as
            :mod:`kan_model.network.initialization` defines them.
        arity: Number of factors of a node that multiplies.
    """

    width: tuple[Level, ...]
    grid_size: int = 5
    degree: int = 3
    outside: Outside = "clamp"
    domain: Interval | tuple[Interval, ...] = (-1.0, 1.0)
    hidden_domain: Interval = (-1.0, 1.0)
    noise: float = _NOISE
    initialization: Initialization = "paper"
    arity: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers that make no network.

        Raises:
            ValueError: fewer than two levels of nodes, a level without nodes, products of the inputs, no intervals, the
                wrong number of domains, an unknown initialization, or noise for one that does not read it.
        """
        pairs = [_pair(level) for level in self.width]
        if len(pairs) < 2 or any(min(pair) < 0 or sum(pair) < 1 for pair in pairs):
            raise ValueError(f"width is {self.width}; wanted at least two numbers of nodes, each 1 or more")
        if pairs[0][1]:
            raise ValueError(f"width is {self.width}; wanted a first level of inputs only, which nothing multiplies")
        if not 2 <= self.arity <= MOST_FACTORS:
            raise ValueError(f"arity is {self.arity}; wanted 2 to {MOST_FACTORS} factors")
        if self.grid_size < 1:
            raise ValueError(f"grid_size is {self.grid_size}; wanted 1 or more intervals")
        if not isinstance(self.domain[0], int | float) and len(self.domain) != pairs[0][0]:
            raise ValueError(
                f"domain has {len(self.domain)} intervals; wanted one, or one for each of {pairs[0][0]} inputs"
            )
        if self.initialization not in INITIALIZATIONS:
            wanted = ", ".join(f'"{name}"' for name in INITIALIZATIONS)
            raise ValueError(f"initialization is {self.initialization!r}; wanted one of {wanted}")
        if self.initialization != "paper" and self.noise != _NOISE:
            raise ValueError(
                f'noise is {self.noise} and initialization "{self.initialization}"; noise is for "paper" only'
            )


class KAN(nn.Module):
    """A KAN. ``KAN(config, seed=...)`` has the config's random start; the same seed gives the same network.

    Attributes:
        layers: The layers, first layer first.
        members: Which nodes belong to which member, if the network is the mean of several (:mod:`kan_model.ensemble`).
    """

    members: Members | None = None

    def __init__(self, config: KANConfig, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.layers: Sequence[KANLayer] = nn.ModuleList(  # type: ignore[assignment]
            _new_layer(config, index, generator, dtype) for index in range(len(config.width) - 1)
        )

    @classmethod
    def of_layers(cls, layers: Sequence[KANLayer], members: Members | None = None) -> "KAN":
        """A KAN of existing layers, which it shares.

        Raises:
            ValueError: no layers; a layer whose inputs are not as many as the outputs of the layer before it; members
                of a network of another width.
        """
        if not layers:
            raise ValueError("no layers; wanted at least one")
        for before, after in itertools.pairwise(layers):
            if before.outputs != after.inputs:
                raise ValueError(f"a layer of {before.outputs} outputs is followed by one of {after.inputs} inputs")
        kan = cls.__new__(cls)
        nn.Module.__init__(kan)
        kan.layers = nn.ModuleList(layers)  # type: ignore[assignment]
        if members is not None and members.width != kan.width[1:]:
            raise ValueError(f"members are of {list(members.width)} nodes behind the inputs; wanted {kan.width[1:]}")
        kan.members = members
        return kan

    def with_layers(self, layers: Sequence[KANLayer]) -> "KAN":
        """A KAN of other layers, which it shares, between the same nodes. It has the same members.

        Raises:
            ValueError: as :meth:`of_layers`.
        """
        return KAN.of_layers(layers, self.members)

    @property
    def width(self) -> tuple[int, ...]:
        """Nodes per level, inputs first."""
        return (self.layers[0].inputs, *(layer.outputs for layer in self.layers))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        return self.layers[0].base_weight.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``[rows, width[-1]]`` for inputs ``[rows, width[0]]``."""
        for layer in self.layers:
            x = layer(x)
        # Callers may view it in another shape.
        return x.contiguous()


def on_cpu(kan: KAN) -> KAN:
    """The network itself if it is on the CPU, else a copy there: for parts that compute with NumPy."""
    tensors = itertools.chain(kan.parameters(), kan.buffers())
    return kan if all(tensor.device.type == "cpu" for tensor in tensors) else copy.deepcopy(kan).cpu()


def parameter_count(network: nn.Module) -> int:
    """The number of trainable parameters. A pruned edge of a KAN has none."""
    if not isinstance(network, KAN):
        return sum(parameter.numel() for parameter in network.parameters())
    count = 0
    for layer in network.layers:
        splines = int((layer.edge_mask != 0).sum())
        count += splines * (1 + layer.coefficients.shape[2]) + 4 * len(layer.symbolic_places)
        count += 0 if layer.bias is None else layer.sums
    return count


def _new_layer(config: KANConfig, index: int, generator: torch.Generator, dtype: torch.dtype) -> KANLayer:
    (inputs, (plain, multiplying)) = sum(_pair(config.width[index])), _pair(config.width[index + 1])
    sums = plain + config.arity * multiplying
    given = torch.tensor(config.domain if index == 0 else config.hidden_domain, dtype=torch.float64)
    domain = given.expand(inputs, 2)
    check_grid(uniform_knots(domain, config.grid_size, config.degree), config.degree)
    shape = LayerShape(sums, config.grid_size, config.degree, domain, config.hidden_domain, config.noise)
    base_weight, coefficients = INITIALIZATIONS[config.initialization](shape, generator)
    return KANLayer(
        base_weight.to(dtype),
        coefficients.to(dtype),
        degree=config.degree,
        outside=config.outside,
        domain=domain.to(dtype),
        products=level_products(plain, multiplying, config.arity),
    )


def _pair(level: Level) -> tuple[int, int]:
    """(nodes that add, nodes that multiply)."""
    return (level, 0) if isinstance(level, int) else level
