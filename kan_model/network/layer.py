"""One layer of a KAN: a learnable function of one variable on every edge, sums and their products on the nodes."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from kan_model.network.part_checks import check_choices, check_directions, check_finite, check_shapes
from kan_model.network.products import Products, multiply
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.symbolic_values import affine_tensor, check_places, group_by_function, symbolic_values
from kan_model.splines.bspline import basis, check_grid, uniform_basis, uniform_knots
from kan_model.splines.edge_sums import edge_sums, is_watched, plain_edge_sums
from kan_model.splines.preparation import Preparation, prepare
from kan_model.splines.rising import DirectedEdges

Outside = Literal["clamp", "decay"]


class KANLayer(DirectedEdges):
    """Edges φ(x) = base_weight·silu(x) + Σ coefficients·basis(x), summed over the inputs.

    A symbolic edge is φ(x) = c·f(a·x + b) + d instead. An edge with a direction rises or falls everywhere, and has x in
    place of silu(x) (:mod:`kan_model.splines.rising`). A sum may have a bias, which belongs to no edge. Each sum is a
    node, or the factor of a node that multiplies.

    Attributes:
        base_weight: ``[sums, inputs]``, parameter.
        coefficients: ``[sums, inputs, grid_size + degree]``, parameter.
        directions: int8 ``[sums, inputs]``, 1 for an edge that rises, −1 for one that falls, 0 for a free one; None:
            all are free; buffer.
        edge_mask: ``[sums, inputs]``, 1 for a learned edge, 0 for a pruned or symbolic one; buffer.
        domain: ``[inputs, 2]``, the interval of each input's splines; buffer.
        knots: ``[inputs, grid_size + 2·degree + 1]``, or None if all grids are uniform over their domains; buffer.
        symbolic_places: (output, input) of each symbolic edge; an edge's output is the sum that it feeds.
        symbolic_functions: Name of each symbolic edge's function f.
        symbolic_affine: ``[symbolic edges, 4]``: a, b, c, d; None if no edge is symbolic; parameter.
        bias: ``[sums]``, added to the sums, or None; parameter.
        products: Which sums make which node; None: each sum is a node.

    Source: arXiv 2404.19756, eq. 2.10, with w_s taken into the coefficients.
    """

    edge_mask: Tensor
    domain: Tensor
    knots: Tensor | None
    symbolic_places: tuple[tuple[int, int], ...]
    symbolic_functions: tuple[str, ...]
    symbolic_affine: Tensor | None
    bias: Tensor | None
    _factor_places: Tensor | None
    # The fields of Groups (symbolic_values.py).
    _symbolic_counts: dict[str, int]
    _symbolic_order: Tensor
    _symbolic_outputs: Tensor
    _symbolic_inputs: Tensor
    _preparation: Preparation | None = None

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
        symbolic: Sequence[SymbolicEdge] = (),
        bias: Tensor | None = None,
        products: Products | None = None,
        directions: Tensor | None = None,
    ) -> None:
        """Give ``domain`` for uniform grids, ``knots`` for any other grid.

        An edge in ``symbolic`` has no spline and no base branch, whatever ``edge_mask`` is there.

        Raises:
            ValueError: shapes that do not fit together; numbers that are not finite; a grid that makes no spline; an
                unknown policy; products of other sums; a symbolic edge whose nodes the layer lacks, that is given
                twice, or with a number that is too large for the layer's type; directions that cannot be kept.
        """
        super().__init__()
        check_choices(domain, knots, outside)
        self.degree, self.outside = degree, outside
        self.grid_size = coefficients.shape[-1] - degree
        if knots is not None:
            check_grid(knots, degree)
            domain = knots[:, [degree, -degree - 1]]
        assert domain is not None
        check_shapes(
            base_weight, coefficients, degree, products, domain=domain, knots=knots, edge_mask=edge_mask, bias=bias
        )
        check_grid(uniform_knots(domain, self.grid_size, degree), degree)
        check_finite(base_weight=base_weight, coefficients=coefficients, edge_mask=edge_mask, bias=bias)
        check_directions(directions, base_weight, outside, products, [(edge.output, edge.input) for edge in symbolic])
        self._hold(base_weight, coefficients, directions)
        self.register_buffer("edge_mask", torch.ones_like(base_weight) if edge_mask is None else edge_mask)
        self._set_symbolic(symbolic)
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias))
        self.register_buffer("domain", domain.clone())
        self.register_buffer("knots", knots)
        self.products = products
        places = None if products is None else torch.from_numpy(products.places()).to(base_weight.device)
        self.register_buffer("_factor_places", places, persistent=False)

    @property
    def outputs(self) -> int:
        """Number of nodes that the layer feeds."""
        return self.sums if self.products is None else self.products.nodes

    @property
    def active_edges(self) -> Tensor:
        """Edges that are not pruned, symbolic ones included: bool ``[sums, inputs]``."""
        active = self.edge_mask != 0
        for place in self.symbolic_places:
            active[place] = True
        return active

    @property
    def symbolic(self) -> tuple[SymbolicEdge, ...]:
        """The symbolic edges with their current numbers, in the order of :attr:`symbolic_places`.

        Raises:
            ValueError: a number is no longer finite.
        """
        if self.symbolic_affine is None:
            return ()
        edges = zip(self.symbolic_places, self.symbolic_functions, self.symbolic_affine.tolist(), strict=True)
        return tuple(SymbolicEdge(*place, function, *affine) for place, function, affine in edges)

    def with_symbolic(self, edges: Sequence[SymbolicEdge]) -> "KANLayer":
        """A copy in which these edges are symbolic too; one that is symbolic already gets the new function."""
        places = {(edge.output, edge.input) for edge in edges}
        kept = [edge for edge in self.symbolic if (edge.output, edge.input) not in places]
        return self.changed(symbolic=[*kept, *edges])

    def changed(self, **parts: Any) -> "KANLayer":
        """A copy with some of the constructor's arguments replaced. A new ``domain`` replaces the ``knots``, and back.

        Args:
            **parts: The constructor's arguments.

        Raises:
            ValueError: as the constructor.
        """
        if "domain" not in parts and "knots" not in parts:
            parts |= {"domain": self.domain} if self.knots is None else {"knots": self.knots.clone()}
        own: dict[str, Any] = {
            "base_weight": self.base_weight.detach().clone(),
            "coefficients": self.coefficients.detach().clone(),
            "degree": self.degree,
            "outside": self.outside,
            "edge_mask": self.edge_mask.clone(),
            "symbolic": self.symbolic,
            "bias": None if self.bias is None else self.bias.detach().clone(),
            "products": self.products,
            "directions": self.directions,
        }
        return KANLayer(**(own | parts))

    def forward(self, x: Tensor) -> Tensor:
        """Node values ``[rows, outputs]`` for inputs ``[rows, inputs]``, as :meth:`sums_of`."""
        return self.nodes_of(self.sums_of(x))

    def nodes_of(self, sums: Tensor) -> Tensor:
        """Node values ``[..., outputs]`` for sums ``[..., sums]``."""
        return sums if self._factor_places is None else multiply(sums, self._factor_places)

    def sums_of(self, x: Tensor) -> Tensor:
        """Sums of edges, with the bias, ``[rows, sums]`` for inputs ``[rows, inputs]``.

        Raises:
            ValueError: an x of another shape.
        """
        base_weight, coefficients = self.base_weight, self.coefficients
        if x.ndim != 2 or x.shape[1] != base_weight.shape[1]:
            raise ValueError(f"x has shape {list(x.shape)}; wanted [rows, {self.inputs}]")
        ready = None if is_watched(x, base_weight, coefficients) else self._ready()
        if ready is None or not ready.is_whole:
            base_weight = base_weight * self.edge_mask
            coefficients = coefficients * self.edge_mask.unsqueeze(-1)
        base_weight, slopes = self.split_base(base_weight)
        if ready is None:
            sums = plain_edge_sums(x, base_weight, coefficients, self.basis, self.bias)
        else:
            sums = edge_sums(x, base_weight, coefficients, ready.splines, self.basis)
            sums = sums if self.bias is None else sums + self.bias
        sums = sums if slopes is None else sums + linear(x, slopes)
        affine = self.symbolic_affine
        return sums if affine is None else sums.index_add(1, self._symbolic_outputs, self._symbolic_values(x, affine))

    def _ready(self) -> Preparation | None:
        """What `edge_sums` needs; None if a gradient by a buffer is wanted."""
        buffers = (self.edge_mask, self.domain, self.knots)
        if any(buffer is not None and buffer.requires_grad for buffer in buffers):
            return None
        if self._preparation is None or not self._preparation.is_of(buffers):
            self._preparation = prepare(buffers, self.grid_size, self.degree, self.outside)
        return self._preparation

    def edge_outputs(self, x: Tensor) -> Tensor:
        """The output of each edge, ``[rows, sums, inputs]``. With the bias they add up to the sums."""
        splines = torch.einsum("nib,oib->noi", self.basis(x), self.coefficients)
        edges = (self.base_weight * self.base(x) + splines) * self.edge_mask
        if self.symbolic_affine is None:
            return edges
        places = self._symbolic_outputs * self.inputs + self._symbolic_inputs
        return edges.flatten(1).index_add(1, places, self._symbolic_values(x, self.symbolic_affine)).view_as(edges)

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

    def __getstate__(self) -> dict[str, Any]:
        """A copy prepares its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_preparation"}

    def _set_symbolic(self, edges: Sequence[SymbolicEdge]) -> None:
        self.symbolic_places = tuple((edge.output, edge.input) for edge in edges)
        self.symbolic_functions = tuple(edge.function for edge in edges)
        if not edges:
            self.register_parameter("symbolic_affine", None)
            return
        check_places(edges, self.sums, self.inputs)
        self.symbolic_affine = nn.Parameter(affine_tensor(edges, self.base_weight))
        # Buffers, so that they move with the layer; in no state_dict, because they follow from places and functions.
        self._symbolic_counts, *indices = group_by_function(edges, self.base_weight.device)
        for name, tensor in zip(("order", "outputs", "inputs"), indices, strict=True):
            self.register_buffer(f"_symbolic_{name}", tensor, persistent=False)
        self.edge_mask = self.edge_mask.clone()
        self.edge_mask[self._symbolic_outputs, self._symbolic_inputs] = 0

    def _symbolic_values(self, x: Tensor, affine: Tensor) -> Tensor:
        """The values of the symbolic edges, ``[rows, symbolic edges]``, in the order of ``_symbolic_outputs``."""
        return symbolic_values(x[:, self._symbolic_inputs], affine[self._symbolic_order], self._symbolic_counts)
