"""How much memory a run of attribution.onnx takes."""

from kan_model.network.network import KAN

# Of each layer about so many matrices of all functions are alive at once: functions on rows and on reference rows,
# their differences, and what is transposed.
_COPIES = 6


def bytes_per_row(kan: KAN) -> int:
    """Bytes of the intermediate values of one row, with a reference row of its own; an estimate from above.

    Args:
        kan: The network.
    """
    numbers = 0
    answers = kan.width[-1]
    for layer in kan.layers:
        # Functions of an input: those that span its splines, silu, symbolic edges.
        functions = layer.grid_size + 3 * layer.degree + 1 + (layer.outputs if layer.symbolic_places else 0)
        edges = min(layer.outputs, answers * functions) * layer.inputs
        numbers = max(numbers, _COPIES * functions * layer.inputs + 2 * edges + 2 * answers * functions * layer.inputs)
    return 8 * numbers
