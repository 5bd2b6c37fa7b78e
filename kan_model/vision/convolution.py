"""A convolution whose taps are learned functions: a layer on single pixels, then shifts and sums."""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import pad

from kan_model.network.initialization import INITIALIZATIONS, Initialization, LayerShape
from kan_model.network.layer import KANLayer, Outside
from kan_model.network.network import Interval
from kan_model.vision.geometry import Convolution, ImageShape
from kan_model.vision.taps import add_taps


class ConvolutionLayer(nn.Module):
    """y[o, p] = Σ_c Σ_k φ_ock(x[c, p·stride + k]), then pooling.

    Attributes:
        edges: The functions, as a layer on single pixels: inputs are channels, and sum k·outputs + o is that of tap k
            (row by row in the kernel) for output channel o. Edges between groups are pruned.
        geometry: Kernel, stride, padding, groups, pooling.
    """

    def __init__(self, edges: KANLayer, geometry: Convolution) -> None:
        """Share existing edges.

        Raises:
            ValueError: edges with other sums than the taps; a bias, products or symbolic edges.
        """
        super().__init__()
        if edges.sums != geometry.taps * geometry.channels:
            raise ValueError(
                f"edges have {edges.sums} sums; wanted {geometry.taps} taps · {geometry.channels} channels"
            )
        if edges.bias is not None or edges.products is not None or edges.symbolic_places:
            raise ValueError("edges have a bias, products or symbolic edges; wanted learned edges only")
        self.edges, self.geometry = edges, geometry

    def forward(self, x: Tensor) -> Tensor:
        """``[rows, channels', height', width']`` for images ``[rows, channels, height, width]``.

        Raises:
            ValueError: as :meth:`kan_model.vision.geometry.Convolution.shape_after`.
        """
        geometry = self.geometry
        _, height, width = geometry.shape_after((x.shape[1], x.shape[2], x.shape[3]))
        sums = self.edges(self.pixel_rows(x))
        padded = tuple(size + 2 * geometry.padding for size in x.shape[2:])
        by_tap = sums.view(x.shape[0], *padded, geometry.taps, geometry.channels)
        total = add_taps(by_tap, geometry, geometry.sizes(*x.shape[2:]))
        if geometry.pool != "none":
            size = geometry.pool_size
            squares = total.view(x.shape[0], height, size, width, size, geometry.channels)
            total = squares.mean(dim=(2, 4)) if geometry.pool == "average" else squares.amax(dim=(2, 4))
        return total.permute(0, 3, 1, 2)

    def pixel_rows(self, x: Tensor) -> Tensor:
        """What the edges read: ``[rows · padded height · padded width, channels]``, padding included."""
        padded = pad(x, (self.geometry.padding,) * 4)
        return padded.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def new_convolution(
    geometry: Convolution,
    shape: ImageShape,
    generator: Generator,
    *,
    grid_size: int,
    degree: int,
    outside: Outside,
    domain: Interval,
    next_domain: Interval,
    initialization: Initialization,
    noise: float,
    dtype: torch.dtype,
) -> ConvolutionLayer:
    """A convolution with the random start of a KANLayer that reads one patch.

    Args:
        geometry: The convolution.
        shape: The shape of its images.
        generator: Makes the random numbers.
        grid_size: Number of intervals of every spline.
        degree: Degree of the splines.
        outside: What a spline gives beyond its domain.
        domain: The interval of the splines.
        next_domain: That of the splines that read the nodes.
        initialization: The kind of start.
        noise: Size of the coefficients.
        dtype: Type of the parameters.
    """
    channels, outputs, taps = shape[0], geometry.channels, geometry.taps
    own = channels // geometry.groups
    intervals = torch.tensor(domain, dtype=torch.float64).expand(own * taps, 2)
    patch = LayerShape(outputs, grid_size, degree, intervals, next_domain, noise)
    base, coefficients = INITIALIZATIONS[initialization](patch, generator)
    mask = base.new_zeros(taps, outputs, channels)
    weights = base.new_zeros(taps, outputs, channels)
    splines = base.new_zeros(taps, outputs, channels, grid_size + degree)
    share = outputs // geometry.groups
    for group in range(geometry.groups):
        made, read = slice(group * share, (group + 1) * share), slice(group * own, (group + 1) * own)
        mask[:, made, read] = 1
        weights[:, made, read] = base[made].view(share, own, taps).permute(2, 0, 1)
        splines[:, made, read] = coefficients[made].view(share, own, taps, -1).permute(2, 0, 1, 3)
    edges = KANLayer(
        weights.flatten(0, 1).to(dtype),
        splines.flatten(0, 1).to(dtype),
        degree=degree,
        outside=outside,
        domain=torch.tensor(domain, dtype=dtype).repeat(channels, 1),
        edge_mask=mask.flatten(0, 1).to(dtype),
    )
    return ConvolutionLayer(edges, geometry)
