"""The memory of a step: how far a process grows in it, ours and by the plain formula."""

import argparse
import subprocess
import sys
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from benchmarks.common.processes import peak_growth_mb
from benchmarks.training.steps import CASES, batch, new_kan, new_step
from kan_model import KAN

LARGEST = CASES[3]


def growth_mb(kind: str) -> float:
    """Growth of the peak of resident memory in the step of the largest case, in MB.

    Args:
        kind: "ours", or "plain": all basis functions at once, by operations that torch differentiates.
    """
    command = [sys.executable, "-m", "benchmarks.training.memory", kind]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


class _Plain(nn.Module):
    """Layers that compute all basis functions at once, by operations that torch differentiates."""

    def __init__(self, kan: KAN) -> None:
        super().__init__()
        self.kan = kan

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.kan.layers:
            x = linear(silu(x), layer.base_weight) + linear(layer.basis(x).flatten(1), layer.coefficients.flatten(1))
        return x


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in this process, and print the MB."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.memory", description=__doc__)
    parser.add_argument("kind", choices=("ours", "plain"), help="how layers compute their splines")
    kind = parser.parse_args(arguments).kind
    torch.set_num_threads(1)
    x, y = batch(LARGEST)
    network = _Plain(new_kan(LARGEST)) if kind == "plain" else new_kan(LARGEST)
    step = new_step(network, x, y)
    new_step(new_kan(LARGEST), x[:1], y[:1])()  # what torch loads at its first step
    print(peak_growth_mb(step))


if __name__ == "__main__":
    main()
