"""Pictures show the network's own numbers and are readable."""

import io
import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from kan_model import KAN, KANConfig, SymbolicEdge
from kan_model.plot import diagram, edge_detail

MakeKAN = Callable[..., KAN]


def _rows(kan: KAN, count: int = 200) -> torch.Tensor:
    return 2 * torch.rand(count, kan.width[0], dtype=kan.dtype, generator=torch.Generator().manual_seed(0)) - 1


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def _frames(figure: Figure) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Abscissas, ordinates and opacity of every edge's curve."""
    lines = [line for line in figure.axes[0].get_lines() if str(line.get_gid()).startswith("edge")]
    return [
        (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), float(line.get_alpha() or 0)) for line in lines
    ]


def _shape(values: np.ndarray) -> np.ndarray:
    """The curve's shape, independent of its place and size in the picture."""
    result: np.ndarray = (values - values.min()) / np.ptp(values)
    return result


def test_every_edge_of_a_small_network_is_drawn(make_kan: MakeKAN) -> None:
    """Its curve has the shape of what it adds to what it reads; opacity is its share of the strongest."""
    kan = make_kan((2, 3, 1))
    rows = _rows(kan)
    frames = _frames(diagram(kan, rows))
    assert len(frames) == 2 * 3 + 3
    with torch.no_grad():
        for layer, x in ((kan.layers[0], rows), (kan.layers[1], kan.layers[0](rows))):
            spread = layer.edge_outputs(x).std(dim=0)
            for output, input_ in itertools.product(range(layer.outputs), range(layer.inputs)):
                line = torch.linspace(float(x[:, input_].min()), float(x[:, input_].max()), 200, dtype=kan.dtype)
                points = torch.zeros(200, layer.inputs, dtype=kan.dtype)
                points[:, input_] = line
                wanted = layer.edge_outputs(points)[:, output, input_].numpy()
                opacity = max(0.15, float(spread[output, input_] / spread.max()))
                assert any(
                    np.allclose(_shape(xs), np.linspace(0, 1, 200), atol=1e-9)
                    and np.allclose(_shape(ys), _shape(wanted), atol=1e-9)
                    and abs(alpha - opacity) < 1e-9
                    for xs, ys, alpha in frames
                )


def _points(figure: Figure, kind: str) -> list[list[tuple[float, float]]]:
    """The points of each line whose gid begins so."""
    lines = [line for line in figure.axes[0].get_lines() if str(line.get_gid()).startswith(kind)]
    return [list(zip(*map(np.ndarray.tolist, map(np.asarray, line.get_data())), strict=True)) for line in lines]


@pytest.mark.parametrize(("width", "arity"), [((2, (0, 1), 1), 2), ((4, (1, 2), 1), 3), ((2, (1, 1), (0, 2)), 2)])
def test_the_factors_of_a_product_are_told_apart(
    make_kan: MakeKAN, width: tuple[int | tuple[int, int], ...], arity: int
) -> None:
    """A cross for each product, below it a point for each factor, at which the edges end that are summed in it."""
    kan = make_kan(width, arity=arity)
    figure = diagram(kan, _rows(kan), most_curves=100)
    assert len(_frames(figure)) == sum(layer.sums * layer.inputs for layer in kan.layers)
    crosses = [place for (place,) in _points(figure, "product")]
    factors = _points(figure, "factor")
    products = sum(level[1] for level in width if not isinstance(level, int))
    assert len(set(crosses)) == products
    assert sorted(upper for _, upper in factors) == sorted(cross for cross in crosses for _ in range(arity))
    sums = {lower for lower, _ in factors}
    assert len(sums) == products * arity
    # Beside each curve: a line from what its edge reads, then one to the sum that it feeds.
    legs = [line for line in figure.axes[0].get_lines() if line.get_zorder() == 1]
    ends = [(float(np.asarray(line.get_xdata())[1]), float(np.asarray(line.get_ydata())[1])) for line in legs[1::2]]
    for layer, level in zip(kan.layers, width[1:], strict=True):
        if not isinstance(level, int):
            # As many edges end in each sum as the layer has inputs, and none in a cross.
            assert sum(ends.count(place) == layer.inputs for place in sums) >= level[1] * arity
    assert not set(ends) & set(crosses)
    assert all(lower[1] < upper[1] for lower, upper in factors)


def test_symbolic_edges_are_marked_and_pruned_ones_are_not_there(make_kan: MakeKAN) -> None:
    """The function's name stands on its edge; an edge that is masked away is not drawn."""
    kan = make_kan((2, 2))
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    layer = kan.layers[0].changed(edge_mask=mask).with_symbolic([SymbolicEdge(1, 0, "tanh", 1, 0, 1, 0)])
    figure = diagram(KAN.of_layers([layer]), _rows(kan))
    assert len(_frames(figure)) == 3
    assert _texts(figure).count("tanh") == 1


def test_64_inputs_can_be_read() -> None:
    """The strongest edges are drawn and all others counted; no two names lie on each other."""
    kan = KAN(KANConfig((64, 32, 10), noise=0.6))
    names = [f"pixel {number // 8},{number % 8}" for number in range(64)]
    figure = diagram(kan, _rows(kan), names=names)
    assert len(_frames(figure)) == 2 * 24
    texts = _texts(figure)
    assert "+ 2,024 weaker edges" in texts
    assert "+ 296 weaker edges" in texts
    shown = [text for text in texts if text in names]
    assert 1 <= len(shown) <= 24
    assert f"+ {64 - len(shown)} nodes without\nany of these" in texts
    figure.savefig(io.BytesIO(), format="png")
    anchors = sorted(text.get_position()[0] for text in figure.findobj(Text) if text.get_text() in names)
    assert min(np.diff(anchors)) > 0.3  # inches: aslant, lines of this size need less


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
@pytest.mark.parametrize("names", [["petal width (cm)", "$x_1$ and \\frac"], ["", "名前 ²"], ["a" * 100, "<&>"]])
def test_names_are_any_text(names: list[str], make_kan: MakeKAN) -> None:
    """Dollars are no formulas, angles no markup, and long ones are cut; PNG and SVG both."""
    kan = make_kan((2, 1))
    figure = diagram(kan, _rows(kan), names=names, outputs=["y & $z$"])
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png")
    figure.savefig(svg, format="svg")
    assert png.getvalue().startswith(b"\x89PNG")
    assert ET.fromstring(svg.getvalue()).tag.endswith("svg")


def test_long_names_that_begin_alike_are_told_apart(make_kan: MakeKAN) -> None:
    """Sensors are numbered at the end: what is cut out of a name is its middle."""
    names = ["temperature of the bearing 1", "temperature of the bearing 2"]
    kan = make_kan((2, 1))
    shown = [text for text in _texts(diagram(kan, _rows(kan), names=names)) if text.startswith("temp")]
    assert len(set(shown)) == 2
    assert all(len(text) < len(names[0]) for text in shown)


def test_one_edge_in_detail(make_kan: MakeKAN) -> None:
    """The curve of a hidden layer's edge over its data, the knots of its grid, every row in the histogram."""
    kan = make_kan((3, 4, 2), uneven=True)
    rows = _rows(kan)
    figure = edge_detail(kan, rows, 1, 1, 2, name="node 2")
    upper, lower = figure.axes
    curve, ticks = upper.get_lines()
    with torch.no_grad():
        points = torch.zeros(400, 4, dtype=kan.dtype)
        points[:, 2] = torch.from_numpy(np.asarray(curve.get_xdata()))
        wanted = kan.layers[1].edge_outputs(points)[:, 1, 2].numpy()
    np.testing.assert_allclose(np.asarray(curve.get_ydata()), wanted, atol=1e-9)
    np.testing.assert_allclose(np.asarray(ticks.get_xdata()), kan.layers[1].all_knots()[2, 3:-3], atol=1e-12)
    assert lower.patches[0].get_data().values.sum() == len(rows)  # type: ignore[attr-defined]
    assert lower.get_xlabel() == "node 2"


def test_what_cannot_be_drawn_is_refused(make_kan: MakeKAN) -> None:
    """The error says what came."""
    kan = make_kan((2, 2))
    rows = _rows(kan)
    spoilt = rows.clone()
    spoilt[3, 1] = torch.nan
    with pytest.raises(ValueError, match="1 of 200 rows"):
        diagram(kan, spoilt)
    with pytest.raises(ValueError, match="2 or more rows"):
        diagram(kan, rows[:1])
    with pytest.raises(ValueError, match="3 names; wanted 2"):
        diagram(kan, rows, names=["a", "b", "c"])
    with pytest.raises(ValueError, match="most_curves is 0"):
        diagram(kan, rows, most_curves=0)
    masked = KAN.of_layers([kan.layers[0].changed(edge_mask=torch.zeros(2, 2, dtype=kan.dtype))])
    with pytest.raises(ValueError, match="no edge from input 1"):
        edge_detail(masked, rows, 0, 0, 1)
    with pytest.raises(ValueError, match="layer is 1"):
        edge_detail(kan, rows, 1, 0, 0)


def test_a_network_without_edges_is_its_nodes(make_kan: MakeKAN) -> None:
    """A network whose edges are all pruned gives a picture of its nodes."""
    kan = make_kan((2, 2))
    empty = KAN.of_layers([kan.layers[0].changed(edge_mask=torch.zeros(2, 2, dtype=kan.dtype))])
    figure = diagram(empty, _rows(kan))
    assert _frames(figure) == []
    assert {"x1", "x2", "y1", "y2"} <= set(_texts(figure))


@pytest.mark.slow
@pytest.mark.parametrize("width", [(3, 2, 1), (1, 1), (11, 2, 11), (64, 3, 30)])
@pytest.mark.parametrize("name", ["MEAN_$T$ of all days (°C)", "two\nlines of a name that goes on"])
def test_no_text_is_cut_off(make_kan: MakeKAN, width: tuple[int, ...], name: str) -> None:
    """Names as long as they are drawn, upright or aslant, lie within the picture; so does the title of an axis."""
    kan = make_kan(width)
    rows = _rows(kan)
    pictures = (
        diagram(kan, rows, names=[name] * width[0], outputs=[name] * width[-1]),
        edge_detail(kan, rows, 0, 0, 0, name=name * 9),
    )
    for figure in pictures:
        renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
        figure.draw(renderer)
        named = [each for each in figure.findobj(Text) if each.get_visible() and name[:3] in each.get_text()]
        assert named
        for text in named:
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= figure.bbox.x1
            assert box.y1 <= figure.bbox.y1
