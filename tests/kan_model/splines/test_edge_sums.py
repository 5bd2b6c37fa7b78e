"""The fast product of basis functions and coefficients, against the plain formula and against torch's own checks."""

import copy
import io
import itertools
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from kan_model import KANLayer
from kan_model.splines import edge_sums as module
from kan_model.splines.cells import Cells, cells_of
from kan_model.splines.edge_sums import Splines, edge_sums, plain_arithmetic, plain_edge_sums
from kan_model.splines.planes import UniformPlanes, uniform_planes
from kan_model.splines.uneven_planes import UnevenPlanes, uneven_planes

Outside = Literal["clamp", "decay"]
Way = Literal["cells", "planes"]
CASES = [
    case
    for case in itertools.product((1, 2, 3, 4, 5), ("clamp", "decay"), (False, True), ("cells", "planes"))
    if case[0] > 1 or not case[2] or case[3] == "cells"
]


def make_layer(
    degree: int, outside: Outside, uneven: bool, *, grid_size: int = 5, dtype: torch.dtype = torch.float64
) -> KANLayer:
    """Three inputs of different domains, two outputs."""
    random = torch.Generator().manual_seed(degree)
    base = torch.randn(2, 3, generator=random, dtype=torch.float64)
    coefficients = torch.randn(2, 3, grid_size + degree, generator=random, dtype=torch.float64)
    domain = torch.tensor([[-1.0, 2.0], [0.0, 0.5], [-3.0, 1.0]], dtype=torch.float64)
    steps = torch.rand(3, grid_size + 2 * degree + 1, generator=random, dtype=torch.float64) + 0.1
    layer = KANLayer(base, coefficients, degree=degree, outside=outside, domain=domain)
    return (layer.changed(knots=torch.cumsum(steps, dim=1)) if uneven else layer).to(dtype)


def rows_for(layer: KANLayer, rows: int = 60) -> Tensor:
    """Random numbers in the domain and beyond all knots."""
    knots = layer.all_knots().double()
    share = torch.rand(rows, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1.4 - 0.2
    return (knots[:, 0] + (knots[:, -1] - knots[:, 0]) * share).to(layer.coefficients.dtype)


def splines_of(layer: KANLayer, way: Way) -> Splines:
    """The layer's basis functions, computed in one of the two ways."""
    if way == "cells":
        return cells_of(layer.domain, layer.knots, layer.grid_size, layer.degree, layer.outside)
    if layer.knots is None:
        return uniform_planes(layer.domain, layer.grid_size, layer.degree, layer.outside)
    return uneven_planes(layer.knots, layer.degree, layer.outside)


def sums(
    layer: KANLayer, way: Way, x: Tensor, base_weight: Tensor | None = None, coefficients: Tensor | None = None
) -> Tensor:
    """The fast sums of a layer, with its own parameters or others."""
    base_weight = layer.base_weight if base_weight is None else base_weight
    coefficients = layer.coefficients if coefficients is None else coefficients
    return edge_sums(x, base_weight, coefficients, splines_of(layer, way), layer.basis)


def plain_sums(layer: KANLayer, x: Tensor) -> Tensor:
    """The same by the plain formula."""
    return plain_edge_sums(x, layer.base_weight, layer.coefficients, layer.basis)


def with_gradients(nodes: Tensor, x: Tensor, layer: KANLayer) -> list[Tensor]:
    """The nodes and the gradients of a smooth function of them."""
    return [nodes.detach(), *torch.autograd.grad(nodes.sin().sum(), (x, layer.base_weight, layer.coefficients))]


@pytest.mark.parametrize(("degree", "outside", "uneven", "way"), CASES)
@pytest.mark.parametrize("grid_size", [1, 5, 20])
def test_the_sums_and_their_gradients_are_those_of_the_plain_formula(
    degree: int, outside: Outside, uneven: bool, way: Way, grid_size: int
) -> None:
    """In float64 they differ by at most 1e-12 of the largest number, on every kind of grid."""
    layer = make_layer(degree, outside, uneven, grid_size=grid_size)
    x = rows_for(layer).requires_grad_()
    found = with_gradients(sums(layer, way, x), x, layer)
    wanted = with_gradients(plain_sums(layer, x), x, layer)
    for ours, plain in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-12 * float(plain.abs().max()), rtol=0)


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("way", ["cells", "planes"])
def test_float32_is_no_further_from_float64_than_twice_the_plain_formula(
    outside: Outside, uneven: bool, way: Way
) -> None:
    """Over all degrees, the largest error of the nodes and of each gradient, as a share of the largest number."""
    errors = torch.zeros(2, 4)
    for degree in (2, 3, 4, 5) if uneven and way == "planes" else (1, 2, 3, 4, 5):
        layer = make_layer(degree, outside, uneven, grid_size=20, dtype=torch.float32)
        exact = copy.deepcopy(layer).double()
        x, x64 = (rows_for(layer, 2000).to(dtype).requires_grad_() for dtype in (torch.float32, torch.float64))
        truth = plain_sums(exact, x64)
        reference = [truth, *torch.autograd.grad(truth.sum(), (x64, exact.base_weight, exact.coefficients))]
        for kind, nodes in enumerate((sums(layer, way, x), plain_sums(layer, x))):
            found = [nodes, *torch.autograd.grad(nodes.sum(), (x, layer.base_weight, layer.coefficients))]
            shares = [
                float(((a - b).abs().max() / b.abs().max()).detach()) for a, b in zip(found, reference, strict=True)
            ]
            errors[kind] = torch.maximum(errors[kind], torch.tensor(shares))
    # One rounding of the largest number, where the plain formula was lucky.
    assert (errors[0] <= 2 * errors[1] + torch.finfo(torch.float32).eps).all(), errors


@pytest.mark.slow
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("way", ["cells", "planes"])
def test_gradients_and_gradients_of_gradients_are_those_of_finite_differences(
    outside: Outside, uneven: bool, way: Way
) -> None:
    """Torch's gradcheck and gradgradcheck, away from knots and from the ends, where a clamp has no derivative."""
    layer = make_layer(3, outside, uneven)
    low, high = layer.domain.T
    x = (low + (high - low) * torch.linspace(0.07, 0.93, 7, dtype=torch.float64)[:, None]).requires_grad_()
    inputs = (
        x,
        layer.base_weight.detach().clone().requires_grad_(),
        layer.coefficients.detach().clone().requires_grad_(),
    )
    assert torch.autograd.gradcheck(lambda *every: sums(layer, way, *every), inputs)
    assert torch.autograd.gradgradcheck(lambda *every: sums(layer, way, *every), inputs)


# torch's own forward mode uses what torch deprecates.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_torch_func_and_forward_mode_see_the_plain_formula() -> None:
    """A Jacobian by vmap and jacrev, and a tangent by forward mode, equal those of the plain formula."""
    layer = make_layer(3, "clamp", False)
    x = rows_for(layer)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: layer(row[None])[0]))(x)
    wanted = torch.autograd.functional.jacobian(lambda rows: layer(rows).sum(0), x).transpose(0, 1)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(jacobian, wanted)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))  # type: ignore[no-untyped-call]
        tangent = forward_ad.unpack_dual(layer(dual)).tangent  # type: ignore[no-untyped-call]
    assert tangent is not None
    torch.testing.assert_close(tangent, jacobian.sum(2))


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("way", ["cells", "planes"])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, uneven: bool, way: Way) -> None:
    """Blocks of one row or feature, or of some that do not divide all, give the same nodes and gradients."""
    layer = make_layer(3, "decay", uneven)
    x = rows_for(layer).requires_grad_()
    whole = with_gradients(sums(layer, way, x), x, layer)
    for rows, points in ((1, 1), (7, 7), (7, 2**20), (2**20, 2 * 60)):
        monkeypatch.setattr(module, "_ROWS", rows)
        for kind in (Cells, UniformPlanes, UnevenPlanes):
            monkeypatch.setattr(kind, "block_points", points)
        for ours, wanted in zip(with_gradients(sums(layer, way, x), x, layer), whole, strict=True):
            torch.testing.assert_close(ours, wanted, atol=1e-13, rtol=1e-13)
        with torch.no_grad():
            torch.testing.assert_close(sums(layer, way, x), whole[0], atol=1e-13, rtol=1e-13)
    none = x[:0].detach().requires_grad_()
    for ours, wanted in zip(with_gradients(sums(layer, way, none), none, layer), whole, strict=True):
        assert ours.shape[1:] == wanted.shape[1:]
        assert not ours.any()


@pytest.mark.parametrize(("degree", "outside", "uneven", "way"), CASES)
def test_numbers_that_are_not_finite_spoil_no_other_row(degree: int, outside: Outside, uneven: bool, way: Way) -> None:
    """NaN gives NaN in its row alone, also in the gradient. Splines at infinity are what they are beyond all knots."""
    layer = make_layer(degree, outside, uneven)
    x = rows_for(layer, 8)
    far = x.clone()
    x[2, 0], x[5, 1], x[6, 2] = float("nan"), float("inf"), float("-inf")
    far[5, 1], far[6, 2] = 1e6, -1e6
    nodes = sums(layer, way, x.requires_grad_())
    (gradient,) = torch.autograd.grad(nodes[[0, 1, 2, 3, 4, 7]].sum(), x)
    assert nodes[2].isnan().all()
    assert gradient[[0, 1, 3, 4, 7]].isfinite().all()
    torch.testing.assert_close(nodes[[0, 1, 3, 4, 7]], plain_sums(layer, far)[[0, 1, 3, 4, 7]])
    splines = splines_of(layer, way)
    values = torch.empty(3, splines.count, 8, dtype=torch.float64)
    splines.write(x.detach().t().contiguous(), values, None)
    wanted = layer.basis(far).permute(1, 2, 0)
    assert values[0, :, 2].isnan().any()
    values[0, :, 2] = wanted[0, :, 2]
    torch.testing.assert_close(values, wanted)


def test_a_layer_follows_changes_of_its_buffers() -> None:
    """A mask that is changed in place, a loaded state, another type, a copy and a pickled copy: each is obeyed."""
    layer = make_layer(3, "clamp", False)
    x = rows_for(layer)
    layer(x)
    layer.edge_mask[:, 1] = 0
    masked = layer(x)
    torch.testing.assert_close(masked, layer.edge_outputs(x).sum(2))
    stored = io.BytesIO()
    torch.save(layer, stored)
    stored.seek(0)
    for each in (copy.deepcopy(layer), torch.load(stored, weights_only=False)):
        torch.testing.assert_close(each(x), masked, atol=0, rtol=0)
        each.edge_mask[0, 0] = 0
        torch.testing.assert_close(each(x), each.edge_outputs(x).sum(2))
    torch.testing.assert_close(copy.deepcopy(layer).float()(x.float()), masked.float(), atol=1e-4, rtol=1e-4)
    other = make_layer(3, "clamp", False)
    other.domain.mul_(2)
    layer.load_state_dict(other.state_dict())
    torch.testing.assert_close(layer(x), other.edge_outputs(x).sum(2))


def test_a_column_far_from_zero_spoils_no_other() -> None:
    """Seconds since 1970 beside a column in [-1, 1]: the layer is the sum of its edges, for both policies."""
    for outside in ("clamp", "decay"):
        domain = torch.tensor([[1.7e9, 1.7e9 + 1], [-1, 1], [-1, 1]], dtype=torch.float64)
        layer = make_layer(3, outside, False).changed(domain=domain)
        masked = layer.changed(edge_mask=torch.tensor([[0.0, 1, 1]] * 2, dtype=torch.float64))
        x = domain[:, 0] + torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        torch.testing.assert_close(masked(x), masked.edge_outputs(x).sum(2), atol=1e-12, rtol=1e-12)


def test_an_x_of_another_shape_is_refused() -> None:
    """One row must be [1, inputs]; another number of columns is no row of this layer."""
    layer = make_layer(3, "clamp", False)
    for shape in ((3,), (4, 2), (2, 4, 3)):
        with pytest.raises(ValueError, match="wanted"):
            layer(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("way", ["cells", "planes"])
def test_the_gradient_reaches_the_end_of_the_domain(way: Way) -> None:
    """As torch.clamp's: a row exactly at an end of the domain has the slope of the spline."""
    for seed in range(40):
        ends = torch.rand(3, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).cumsum(1)
        layer = make_layer(3, "clamp", False).changed(domain=ends)
        x = ends.t().clone().requires_grad_()
        for ours, plain in zip(
            with_gradients(sums(layer, way, x), x, layer),
            with_gradients(plain_sums(layer, x), x, layer),
            strict=True,
        ):
            torch.testing.assert_close(ours, plain, atol=1e-11, rtol=1e-11)


def test_what_follows_each_operation_gets_the_plain_formula() -> None:
    """Autocast, an ensemble by vmap, torch.export, gradients in batches and of a domain, deterministic algorithms."""
    layer = make_layer(3, "clamp", False, dtype=torch.float32)
    x = rows_for(layer)
    wanted = layer(x).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), wanted, atol=0.2, rtol=0.1)
    parameters, buffers = torch.func.stack_module_state([layer, copy.deepcopy(layer)])
    both = torch.func.vmap(lambda p, b: torch.func.functional_call(layer, (p, b), (x,)))(parameters, buffers)
    torch.testing.assert_close(both[1], wanted)
    torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), wanted)
    x.requires_grad_()
    nodes = layer(x)
    one_by_one = [torch.autograd.grad(nodes.sum(0)[node], x, retain_graph=True)[0] for node in (0, 1)]
    (batched,) = torch.autograd.grad(nodes.sum(0), x, torch.eye(2), is_grads_batched=True, retain_graph=True)
    torch.testing.assert_close(batched, torch.stack(one_by_one))
    mapped = torch.func.vmap(lambda each: torch.autograd.grad(nodes.sum(0), x, each, retain_graph=True)[0])
    torch.testing.assert_close(mapped(torch.eye(2)), torch.stack(one_by_one))
    domain = layer.domain.clone().requires_grad_()
    (found,) = torch.autograd.grad(torch.func.functional_call(layer, {"domain": domain}, (x,)).sum(), domain)
    assert found.count_nonzero() > 0
    torch.use_deterministic_algorithms(True)
    try:
        torch.testing.assert_close(layer(x), wanted)
    finally:
        torch.use_deterministic_algorithms(False)


def test_plain_arithmetic_is_the_plain_formula_to_the_bit() -> None:
    """Runs that an older kan-train began are judged by what it computed."""
    layer = make_layer(3, "clamp", False)
    x = rows_for(layer)
    with plain_arithmetic():
        found = layer(x)
    plain = (
        torch.nn.functional.silu(x) @ layer.base_weight.T + layer.basis(x).flatten(1) @ layer.coefficients.flatten(1).T
    )
    torch.testing.assert_close(found, plain, atol=0, rtol=0)


@pytest.mark.parametrize("way", ["cells", "planes"])
def test_graphs_that_live_at_once_share_no_memory(way: Way) -> None:
    """Three forward passes before any backward pass, one of them twice: gradients are those of each pass alone."""
    layer = make_layer(3, "clamp", False)
    batches = [rows_for(layer, 3000) * scale for scale in (1, 0.5, 0.25)]
    wanted = [with_gradients(plain_sums(layer, each), x, layer) for each in batches for x in [each.requires_grad_()]]
    nodes = [sums(layer, way, each) for each in batches]
    for index in (1, 0, 2):
        inputs = (batches[index], layer.base_weight, layer.coefficients)
        for _ in range(2):
            found = torch.autograd.grad(nodes[index].sin().sum(), inputs, retain_graph=True)
            for ours, plain in zip(found, wanted[index][1:], strict=True):
                torch.testing.assert_close(ours, plain, atol=1e-11, rtol=1e-11)
        nodes[index] = sums(layer, way, batches[index])


@pytest.mark.parametrize("rows", [60, 30_000])
def test_coefficients_in_another_order_of_memory_get_their_gradient(rows: int) -> None:
    """A parameter that is a transposed tensor: values kept or made again, the gradient is that of the plain formula."""
    layer = make_layer(3, "clamp", False)
    x = rows_for(layer, rows).requires_grad_()
    turned = layer.coefficients.detach().permute(2, 1, 0).contiguous().permute(2, 1, 0)
    layer.register_parameter("coefficients", torch.nn.Parameter(turned))
    assert not layer.coefficients.is_contiguous()
    found, wanted = with_gradients(layer(x), x, layer), with_gradients(plain_sums(layer, x), x, layer)
    for ours, plain in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("uneven", [False, True])
def test_a_grid_that_moves_after_the_forward_pass_moves_no_gradient(
    uneven: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that are made again for the backward pass are those of the grid that the forward pass had."""
    monkeypatch.setattr(module, "_MOST_KEPT", 0)
    layer = make_layer(3, "clamp", uneven)
    x = rows_for(layer).requires_grad_()
    wanted = with_gradients(plain_sums(layer, x), x, layer)
    nodes = layer(x)
    (layer.domain if layer.knots is None else layer.knots).add_(0.1)
    for ours, plain in zip(with_gradients(nodes, x, layer), wanted, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-11, rtol=1e-11)
