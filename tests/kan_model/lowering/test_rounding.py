"""What float32 leaves open of an answer, and that nothing else is let pass."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from kan_model import KAN, KANConfig, SymbolicEdge
from kan_model.lowering import lower
from kan_model.lowering.reference import Reference
from kan_model.lowering.rounding import rounding

MakeKAN = Callable[..., KAN]


def _symbolic(width: tuple[int, ...], *layers: list[SymbolicEdge]) -> KAN:
    """A network of these edges alone."""
    kan = KAN(KANConfig(width), dtype=torch.float64)
    return KAN.of_layers(
        [
            layer.changed(edge_mask=torch.zeros_like(layer.edge_mask), symbolic=edges)
            for layer, edges in zip(kan.layers, layers, strict=True)
        ]
    )


_SINE = SymbolicEdge(0, 0, "sin", 3.0, 0.0, 1.0, 0.0)


def test_a_sine_of_a_large_number_is_open_by_what_its_argument_is() -> None:
    """|d sin(3x)| = |3 cos(3x)| · |dx| with |dx| up to x · 2^-24, and rounding's own 2^-24 of the answer."""
    x = torch.tensor([[0.5], [100.0], [1e4]], dtype=torch.float64)
    found = rounding(_symbolic((1, 1), [_SINE]), x)
    wanted = 2.0**-24 * (3 * torch.cos(3 * x) * x).abs().numpy() + 2.0**-24
    assert np.all(found.spread <= 1.05 * wanted)
    assert np.all(found.spread >= 0.5 * wanted)
    assert not found.overflow.any()


def test_numbers_that_float32_does_not_hold_are_seen() -> None:
    """The exponential passes it on the way, though the logarithm takes it back."""
    kan = _symbolic((1, 1, 1), [SymbolicEdge(0, 0, "exp", 1, 0, 1, 0)], [SymbolicEdge(0, 0, "log", 1, 0, 1, 0)])
    found = rounding(kan, torch.tensor([[80.0], [100.0]], dtype=torch.float64))
    assert found.overflow.tolist() == [False, True]


@pytest.mark.parametrize("function", ["sin", "cos", "exp", "x^5", "tanh", "log", "sqrt", "1/sqrt(x)", "arcsin"])
def test_networks_with_such_edges_are_lowered(function: str, make_kan: MakeKAN) -> None:
    """Beside splines, with features up to 1e6, also where some have no answer: a formula can be served."""
    first, second = make_kan((2, 3, 1)).layers
    kan = KAN.of_layers([first.with_symbolic([SymbolicEdge(1, 0, function, 0.7, 0.8, 1.0, 0.0)]), second])
    assert lower(kan, tune_for=()).report.max_relative_error <= 1e-5


@pytest.mark.parametrize("change", [1e-4, -1e-4])
def test_a_wrong_constant_is_still_found(change: float) -> None:
    """Where rows are like those of training, nothing is open: a frequency off by 1e-4 is far beyond the tolerance."""
    kan = _symbolic((1, 1), [_SINE])
    model = lower(kan, tune_for=()).model
    assert Reference(kan).compare(model).max_relative_error < 1e-6
    wrong = onnx.ModelProto()
    wrong.CopyFrom(model)
    (place,) = [
        number
        for number, tensor in enumerate(wrong.graph.initializer)
        if np.allclose(numpy_helper.to_array(tensor), 3.0)
    ]
    tensor = wrong.graph.initializer[place]
    numbers = (numpy_helper.to_array(tensor) * (1 + change)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
    assert Reference(kan).compare(wrong).max_relative_error > 5e-5


def test_of_splines_nothing_is_open(make_kan: MakeKAN) -> None:
    """The bound of networks without symbolic edges is what it was: their far rows are held to every digit."""
    kan = make_kan()
    assert Reference(kan)._open(torch.full((3, 3), 1e6, dtype=torch.float64)).max() == 0
