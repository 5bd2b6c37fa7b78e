"""Edges that never fall, or never rise, whatever their parameters are.

An edge has a direction: 1 rises, −1 falls, 0 is free. A spline does not fall if no coefficient is below the one before
it, because its derivative is a sum of B-splines of one degree less, with positive multiples of these differences as
coefficients. So the coefficients of a rising edge are cumulative sums of steps that are not negative. Its base is |w|·x
in place of w·silu(x), because silu falls below −1.28.

Example: the parameters 0, 2, 1, 4 have the steps 2, −1, 3. The coefficients of the rising edge are 0, 2, 3, 6.
Parameters that rise already are the coefficients themselves, bit for bit. A falling edge is minus a rising one.

Source: de Boor, A Practical Guide to Splines, ch. X, for the derivative.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu


def directed_weights(weights: Tensor, directions: Tensor) -> Tensor:
    """Base weights with the sign of their direction, ``[sums, inputs]``; free ones stay as they are."""
    return torch.where(weights * directions >= 0, weights, -weights)


def directed_coefficients(parameters: Tensor, directions: Tensor) -> Tensor:
    """The coefficients of edges that follow their directions.

    Args:
        parameters: ``[sums, inputs, grid_size + degree]``, any numbers.
        directions: ``[sums, inputs]``: 1, −1 or 0.

    Returns:
        The shape of ``parameters``. Edges that follow their direction already, and free ones, stay as they are.
    """
    signs = directions.unsqueeze(-1).to(parameters)
    steps = torch.diff(parameters * signs)
    # Not abs: its gradient at 0 would keep a step of 0 there for ever.
    heights = torch.where(steps >= 0, steps, -steps).cumsum(dim=-1)
    walked = parameters[..., :1] + signs * torch.cat([torch.zeros_like(heights[..., :1]), heights], dim=-1)
    return torch.where((steps >= 0).all(dim=-1, keepdim=True), parameters, walked)


def nearest_directed(coefficients: Tensor, directions: Tensor | None) -> Tensor:
    """The coefficients that follow their directions and whose largest difference from the given ones is smallest.

    They are the mean of the running maximum from the left and the running minimum from the right. No spline moves by
    more than the coefficient that moves most, because B-splines add up to 1.

    Args:
        coefficients: ``[sums, inputs, grid_size + degree]``, such as those of a least-squares fit.
        directions: ``[sums, inputs]``, or None: all edges are free.

    Source: the isotonic regression in the maximum norm, Ubhaya, Isotone optimization I (1974).
    """
    if directions is None:
        return coefficients
    signs = directions.unsqueeze(-1).to(coefficients)
    signed = coefficients * signs
    highest = signed.cummax(dim=-1).values
    lowest = signed.flip(-1).cummin(dim=-1).values.flip(-1)
    return torch.where(signs == 0, coefficients, (highest + lowest) / 2 * signs)


def ordered_between(coefficients: Tensor, is_free: Tensor, directions: Tensor) -> Tensor:
    """The coefficients whose free ones keep the order of their edge and stay between the fixed ones beside them.

    Args:
        coefficients: ``[sums, inputs, grid_size + degree]``; the fixed ones follow their directions already.
        is_free: bool, of the same shape. The fixed ones keep all bits.
        directions: ``[sums, inputs]``.
    """
    signs = directions.unsqueeze(-1).to(coefficients)
    signed = coefficients * signs
    low = torch.where(is_free, -torch.inf, signed).cummax(dim=-1).values
    high = torch.where(is_free, torch.inf, signed).flip(-1).cummin(dim=-1).values.flip(-1)
    ordered = torch.minimum(torch.maximum(signed, low), high).cummax(dim=-1).values
    return torch.where(signs == 0, coefficients, ordered * signs)


class DirectedEdges(nn.Module):
    """The learned numbers of a layer's edges; those with a direction follow it for all values of the parameters.

    ``base_weight`` and ``coefficients`` are what the edges compute with. For free edges they are the parameters of the
    same names. For edges with a direction they are made from them, each time they are read: a step of an optimizer
    changes parameters, and no step can turn an edge.

    Attributes:
        directions: int8 ``[sums, inputs]``, or None: all edges are free; buffer.
    """

    directions: Tensor | None

    def _hold(self, base_weight: Tensor, coefficients: Tensor, directions: Tensor | None) -> None:
        """Register parameters ``[sums, inputs]`` and ``[sums, inputs, grid_size + degree]``, and the directions."""
        self.register_buffer("directions", directions)
        # Contiguous, because LBFGS flattens gradients with view(), and gradients have their parameters' strides.
        self.register_parameter("base_weight", nn.Parameter(base_weight.contiguous()))
        self.register_parameter("coefficients", nn.Parameter(coefficients.contiguous()))

    @property
    def signs(self) -> Tensor:
        """The directions, int8 ``[sums, inputs]``; all 0 if there are none."""
        found = self.directions
        return torch.zeros_like(self._held("base_weight"), dtype=torch.int8) if found is None else found

    @property
    def inputs(self) -> int:
        """Number of nodes that the layer reads."""
        return self._held("base_weight").shape[1]

    @property
    def sums(self) -> int:
        """Number of sums of edges: one for each node, or one for each factor of a node."""
        return self._held("base_weight").shape[0]

    @property
    def base_weight(self) -> Tensor:
        """``[sums, inputs]``: of silu(x) on free edges, of x on edges with a direction."""
        weights = self._held("base_weight")
        return weights if self.directions is None else directed_weights(weights, self.directions)

    @property
    def coefficients(self) -> Tensor:
        """``[sums, inputs, grid_size + degree]``."""
        parameters = self._held("coefficients")
        return parameters if self.directions is None else directed_coefficients(parameters, self.directions)

    def base(self, x: Tensor) -> Tensor:
        """The base function of each edge, without its weight: ``[rows, 1 or sums, inputs]`` for ``[rows, inputs]``."""
        values = silu(x).unsqueeze(1)
        return values if self.directions is None else torch.where(self.directions == 0, values, x.unsqueeze(1))

    def split_base(self, base_weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """The weights of silu(x), and those of x; None: no edge has a direction. Both ``[sums, inputs]``."""
        if self.directions is None:
            return base_weight, None
        is_free, nothing = self.directions == 0, torch.zeros_like(base_weight)
        return torch.where(is_free, base_weight, nothing), torch.where(is_free, nothing, base_weight)

    def _held(self, name: str) -> Tensor:
        parameter = self._parameters.get(name)
        if parameter is None:
            raise AttributeError(f"{name} is not registered yet")  # hasattr, which torch asks first, needs this error
        return parameter
