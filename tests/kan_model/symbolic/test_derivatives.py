"""The derivatives of a network of formulas by its constants."""

import torch
from torch.func import functional_call, jacrev

from kan_model import KAN, KANConfig
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.rows.jacobian import parameter_columns
from kan_model.symbolic.derivatives import FormulaFunction


def network() -> KAN:
    """Two inputs, a node that adds and one that multiplies, two outputs; one node is read by one output only."""
    kan = KAN(KANConfig((2, (1, 1), 2)), seed=0, dtype=torch.float64)
    inner = [
        SymbolicEdge(0, 0, "sin", 1.2, 0.3, 0.8, 0.1),
        SymbolicEdge(1, 0, "x", 0.7, -0.1, 1.5, 0.2),
        SymbolicEdge(2, 1, "exp", 0.5, 0.0, 1.1, -0.4),
        SymbolicEdge(2, 0, "sin", -0.9, 0.2, 0.6, 0.0),
    ]
    outer = [
        SymbolicEdge(0, 0, "x^2", 1.0, 0.4, 0.9, 0.3),
        SymbolicEdge(0, 1, "tanh", 0.6, 0.1, 2.0, -0.2),
        SymbolicEdge(1, 1, "gaussian", 0.8, 0.0, 1.3, 0.5),
    ]
    bias = torch.tensor([0.3, -0.2], dtype=torch.float64)
    plain = [kan.layers[0].with_symbolic(inner), kan.layers[1].changed(bias=bias).with_symbolic(outer)]
    mask = torch.zeros_like(plain[0].edge_mask)
    return kan.with_layers([plain[0].changed(edge_mask=mask), plain[1].changed(edge_mask=torch.zeros(2, 2))])


def test_answers_and_derivatives_are_those_of_torch() -> None:
    """The network's own answers and torch's derivatives, to 12 digits, also for other constants than its own."""
    kan = network()
    rows = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(20, 2)
    parts = {name: part.detach() for name, part in kan.named_parameters() if name.endswith(("affine", "bias"))}
    columns = parameter_columns(parts)
    function = FormulaFunction(kan, rows, columns)
    for factor in (1.0, 1.1):
        own = {name: factor * part for name, part in parts.items()}
        constants = torch.cat([part.ravel() for part in own.values()])
        answers, derivatives = function.derivatives(constants)
        wanted = functional_call(kan, own, (rows,))
        torch.testing.assert_close(answers, wanted.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(function.answers(constants), answers, rtol=0, atol=0)
        torch_derivatives = jacrev(lambda own: functional_call(kan, own, (rows,)))(own)
        for name, slice_ in columns.items():
            given = torch_derivatives[name].reshape(*answers.shape, -1)
            torch.testing.assert_close(derivatives[..., slice_], given, rtol=1e-12, atol=1e-12)
