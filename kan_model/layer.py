"""One layer of a KAN: a learnable function of one variable on every edge, sums on the nodes."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from kan_model.bspline import basis, check_grid, uniform_basis, uniform_knots

Outside = Literal["clamp", "decay"]


class KANLayer(nn.Module):
    """Edges φ(x) = base_weight·silu(x) + Σ coefficients·basis(x), summed over the inputs of each node.

    Attributes:
        base_weight: ``[outputs, inputs]``, parameter.
        coefficients: ``[outputs, inputs, grid_size + degree]``, parameter.
        edge_mask: ``[outputs, inputs]``, 1 for an edge that is there, 0 for one that is not; buffer.
        domain: ``[inputs, 2]``, where each input's splines live; buffer.
        knots: ``[inputs, grid_size + 2·degree + 1]``, or None where every grid is uniform over its domain; buffer.

    Source: arXiv 2404.19756, eq. 2.10, with w_s taken into the coefficients.
    """

    base_weight: Tensor
    coefficients: Tensor
    edge_mask: Tensor
    domain: Tensor
    knots: Tensor | None

    def __init__(
        self,
        base_weight: Tensor,
        coefficients: Tensor,
        *,
        degree: int,
        outside: Outside,
        domain: Tensor | None = None,
        knots: Tensor | None = None,
        edge_mask: Tensor | None = None,
    ) -> None:
        """Give ``domain`` for uniform grids, ``knots`` for any others.

        Raises:
            ValueError: shapes that do not fit together, a grid no spline can stand on, an unknown policy.
        """
        super().__init__()
        if (domain is None) == (knots is None):
            raise ValueError("give either domain (uniform grids) or knots (any grid)")
        if outside not in ("clamp", "decay"):
            raise ValueError(f'outside is {outside!r}; wanted "clamp" or "decay"')
        self.degree, self.outside = degree, outside
        self.grid_size = coefficients.shape[-1] - degree
        if knots is not None:
            check_grid(knots, degree)
            domain = knots[:, [degree, -degree - 1]]
        assert domain is not None
        inputs = domain.shape[0]
        if base_weight.ndim != 2 or base_weight.shape[1] != inputs:
            raise ValueError(f"base_weight has shape {tuple(base_weight.shape)}; wanted [outputs, {inputs}]")
        if coefficients.shape[:-1] != base_weight.shape or self.grid_size < 1:
            raise ValueError(
                f"coefficients have shape {tuple(coefficients.shape)}; wanted "
                f"{[*base_weight.shape, f'grid_size + {degree}']}"
            )
        if edge_mask is not None and edge_mask.shape != base_weight.shape:
            raise ValueError(f"edge_mask has shape {tuple(edge_mask.shape)}; wanted {tuple(base_weight.shape)}")
        if knots is not None and knots.shape[1] != self.grid_size + 2 * degree + 1:
            raise ValueError(f"{knots.shape[1]} knots an input; wanted {self.grid_size + 2 * degree + 1}")
        check_grid(uniform_knots(domain, self.grid_size, degree), degree)
        # LBFGS flattens gradients by view, and these follow the parameters' strides.
        self.base_weight = nn.Parameter(base_weight.contiguous())
        self.coefficients = nn.Parameter(coefficients.contiguous())
        self.register_buffer("edge_mask", torch.ones_like(base_weight) if edge_mask is None else edge_mask)
        self.register_buffer("domain", domain.clone())
        self.register_buffer("knots", knots)

    @property
    def inputs(self) -> int:
        """Nodes that the layer reads."""
        return self.base_weight.shape[1]

    @property
    def outputs(self) -> int:
        """Nodes that the layer feeds."""
        return self.base_weight.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Node values ``[rows, outputs]`` for inputs ``[rows, inputs]``."""
        base_weight = self.base_weight * self.edge_mask
        coefficients = self.coefficients * self.edge_mask.unsqueeze(-1)
        return linear(silu(x), base_weight) + linear(self.basis(x).flatten(1), coefficients.flatten(1))

    def edge_outputs(self, x: Tensor) -> Tensor:
        """What each edge adds, ``[rows, outputs, inputs]``; its sum over inputs is :meth:`forward`."""
        splines = torch.einsum("nib,oib->noi", self.basis(x), self.coefficients)
        return (self.base_weight * silu(x).unsqueeze(1) + splines) * self.edge_mask

    def basis(self, x: Tensor) -> Tensor:
        """Basis functions ``[rows, inputs, grid_size + degree]`` under this layer's ``outside`` policy."""
        if self.outside == "clamp":
            x = torch.clamp(x, self.domain[:, 0], self.domain[:, 1])
        if self.knots is None:
            return uniform_basis(x, self.domain, self.grid_size, self.degree)
        return basis(x, self.knots, self.degree)

    def all_knots(self) -> Tensor:
        """Knots ``[inputs, grid_size + 2·degree + 1]``, uniform or not."""
        return uniform_knots(self.domain, self.grid_size, self.degree) if self.knots is None else self.knots
