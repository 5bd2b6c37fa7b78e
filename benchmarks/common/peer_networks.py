"""The peers as torch networks, with the weights of one of ours."""

from collections.abc import Sequence

import inkan
import kan as pykan
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from kan_model import KAN, KANLayer

SEED = 0


class EfficientKANLayer(nn.Module):
    """A layer as in efficient-kan: Cox–de Boor over an extended grid, and one linear map per branch.

    The layer is written from the formula base_weight·silu(x) + spline_weight·B(x). B follows the Cox–de Boor recursion;
    every basis function falls to zero beyond its knots. The scale of the splines is multiplied into spline_weight.
    """

    grid: Tensor

    def __init__(self, layer: KANLayer) -> None:
        super().__init__()
        self.degree = layer.degree
        self.register_buffer("grid", layer.all_knots())
        self.base_weight = nn.Parameter(layer.base_weight.detach())
        self.spline_weight = nn.Parameter(layer.coefficients.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Node values ``[rows, outputs]`` for inputs ``[rows, inputs]``."""
        base = linear(silu(x), self.base_weight)
        return base + linear(self.b_splines(x).flatten(1), self.spline_weight.flatten(1))

    def b_splines(self, x: Tensor) -> Tensor:
        """Basis functions ``[rows, inputs, grid_size + degree]``."""
        x, t = x.unsqueeze(-1), self.grid
        b = ((x >= t[:, :-1]) & (x < t[:, 1:])).to(x.dtype)
        for k in range(1, self.degree + 1):
            left = (x - t[:, : -(k + 1)]) / (t[:, k:-1] - t[:, : -(k + 1)])
            right = (t[:, k + 1 :] - x) / (t[:, k + 1 :] - t[:, 1:-k])
            b = left * b[:, :, :-1] + right * b[:, :, 1:]
        return b


def efficient_kan(kan: KAN) -> nn.Module:
    """efficient-kan; its policy is decay."""
    return nn.Sequential(*(EfficientKANLayer(layer) for layer in kan.layers))


def pykan_speed(kan: KAN) -> nn.Module:
    """The speed mode of pykan (no symbolic branch, nothing kept); its policy is decay."""
    first = kan.layers[0]
    network = pykan.MultKAN(
        list(kan.width), grid=first.grid_size, k=first.degree, seed=SEED, save_act=False, auto_save=False
    ).speed()
    for theirs, ours in zip(network.act_fun, kan.layers, strict=True):
        theirs.grid.data = ours.all_knots()
        theirs.coef.data = ours.coefficients.detach().permute(1, 0, 2).contiguous()
        theirs.scale_base.data = ours.base_weight.detach().T.contiguous()
        theirs.scale_sp.data = torch.ones_like(theirs.scale_base)
        theirs.mask.data = ours.edge_mask.T.contiguous()
    assert isinstance(network, nn.Module)
    return network


def inkan_network(kan: KAN, basis_mode: str) -> nn.Module:
    """Inkan; its policy is decay.

    Inkan has one uniform grid for all inputs of a layer. For other grids only the number of intervals and the first
    input's domain are kept, so only its time can be compared.

    Args:
        kan: A network of cubic splines.
        basis_mode: "local" (its default: four basis functions scattered among zeros) or "dense" (all of them).
    """
    layers = []
    for ours in kan.layers:
        low, high = ours.domain[0].tolist()
        theirs = inkan.KANLayer(
            ours.inputs,
            ours.outputs,
            ours.grid_size,
            grid_range=(low, high),
            compile_basis=False,
            basis_mode=basis_mode,
        )
        packed = torch.cat([ours.coefficients.detach().flatten(1), ours.base_weight.detach()], dim=1)
        theirs.weight.data = packed
        layers.append(theirs)
    return nn.Sequential(*layers)


def mlp_of_equal_parameters(kan: KAN) -> nn.Module:
    """An MLP (ReLU) of one hidden layer with as many parameters as ``kan``, random weights."""
    parameters = sum(parameter.numel() for parameter in kan.parameters())
    inputs, outputs = kan.width[0], kan.width[-1]
    return mlp((inputs, round((parameters - outputs) / (inputs + outputs + 1)), outputs))


def mlp(width: Sequence[int]) -> nn.Module:
    """An MLP (ReLU) with these numbers of nodes, random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        modules: list[nn.Module] = []
        for index in range(len(width) - 1):
            modules += [nn.Linear(width[index], width[index + 1]), nn.ReLU()]
    return nn.Sequential(*modules[:-1])
