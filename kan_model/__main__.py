"""``python -m kan_model FILE`` describes the network in a safetensors file."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what a checkpoint holds.

    Args:
        arguments: The command line without the program's name; None takes the command line of the process.

    Returns:
        The exit code: 0, or 2 if the file is no checkpoint of a KAN.
    """
    parser = argparse.ArgumentParser(
        prog="python -m kan_model",
        description="Describe a network that kan_model saved, such as network.safetensors of a published version. "
        "kan_model is a library: to train and publish there is kan-train.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a safetensors file")
    path = parser.parse_args(arguments).file
    from kan_model.network import checkpoint

    try:
        kan = checkpoint.load(path)
    except OSError as error:
        return _fail(f"{path}: cannot read it: {error.strerror}")
    except ValueError as error:
        return _fail(str(error))
    parameters = sum(parameter.numel() for parameter in kan.parameters())
    print(f"KAN {list(kan.width)}, {str(kan.dtype).removeprefix('torch.')}, {parameters:,} parameters")
    for index, layer in enumerate(kan.layers):
        functions = Counter(layer.symbolic_functions)
        formulas = f", formulas: {', '.join(f'{count} {name}' for name, count in functions.most_common())}"
        print(
            f"  layer {index}: {int(layer.edge_mask.count_nonzero())} of {layer.edge_mask.numel()} edges, grid "
            f"{layer.grid_size}, degree {layer.degree}, outside {layer.outside}{formulas * bool(functions)}"
        )
    return 0


def _fail(message: str) -> int:
    print(f"kan_model: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
