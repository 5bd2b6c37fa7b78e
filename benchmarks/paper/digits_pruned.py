"""Digits with half of the edges and fewer: sparsify, prune, train again (arXiv 2404.19756, section 2.5.1).

Data, split, network and optimizer are those of training/recipes/digits.toml. Accuracies are on its test rows, which
are used for no choice. Run it with ``python -m benchmarks.paper.digits_pruned``.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from kan_model import KAN
from kan_model.analysis.penalty import penalty
from kan_model.analysis.pruning import prune
from training.data.dataset import Dataset, prepare
from training.data.preparation import input_transform, new_network, output_transform, samples
from training.data.samples import Samples
from training.data.split import RowNumbers
from training.recipe.config import Recipe, load_recipe
from training.threads import torch_threads

# λ of the paper, with μ1 = μ2 = 1. This and the numbers below were chosen on the validation rows.
PENALTY = 1e-3
SHARES = (1 / 2, 1 / 4, 1 / 8)
# After pruning: a third of the recipe's epochs, at two fifths of its learning rate.
_LATER_EPOCHS = 1 / 3
_LATER_LEARNING_RATE = 0.4
_RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "digits.toml"


@dataclass(frozen=True)
class Line:
    """The line of one network in the table.

    Attributes:
        name: How the network was made.
        edges: Number of edges.
        width: Number of nodes, level by level.
        pruned_accuracy: Accuracy on the test rows after pruning and before the further training; of a network that is
            not pruned, its accuracy.
        accuracy: Accuracy on the test rows.
    """

    name: str
    edges: int
    width: tuple[int, ...]
    pruned_accuracy: float
    accuracy: float


def digits_pruned(seed: int = 0) -> tuple[Line, ...]:
    """The recipe's network, one trained with the penalty, and that one pruned to fewer and fewer edges.

    Args:
        seed: Seed of initial weights and batches.
    """
    recipe = load_recipe(_RECIPE)
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"seed": seed})})
    dataset = prepare(recipe)
    train, test = (_samples(dataset, recipe, rows) for rows in (dataset.train, dataset.test))
    plain, sparse = (new_network(dataset, recipe, input_transform(dataset, recipe.inputs.scaling)) for _ in range(2))
    _train(plain, train, recipe, factor=0.0)
    _train(sparse, train, recipe, factor=PENALTY)
    lines = [
        Line(name, _edges(kan), kan.width, _accuracy(kan, test), _accuracy(kan, test))
        for name, kan in (("as the recipe has it", plain), (f"with the penalty, {PENALTY:g}", sparse))
    ]
    for share in SHARES:
        pruned = prune(sparse, train.x, edges=int(_edges(sparse) * share), keep_inputs=True)
        before = _accuracy(pruned.kan, test)
        _train(pruned.kan, train, recipe, factor=0.0, epochs=_LATER_EPOCHS, learning_rate=_LATER_LEARNING_RATE)
        name = f"pruned to 1/{round(1 / share)} of the edges"
        lines.append(Line(name, pruned.left_edges, pruned.kan.width, before, _accuracy(pruned.kan, test)))
    return tuple(lines)


def table(lines: tuple[Line, ...]) -> str:
    """The networks as text, one line each."""
    rows = [f"{'network':<28} {'edges':>5} {'width':>12} {'test accuracy':>14} {'trained on':>11}"]
    for line in lines:
        width = "-".join(map(str, line.width))
        rows.append(f"{line.name:<28} {line.edges:>5} {width:>12} {line.pruned_accuracy:>14.1%} {line.accuracy:>11.1%}")
    return "\n".join(rows)


def _train(
    kan: KAN, train: Samples, recipe: Recipe, *, factor: float, epochs: float = 1.0, learning_rate: float = 1.0
) -> None:
    """AdamW on cross entropy + factor · penalty; `epochs` and `learning_rate` are shares of the recipe's numbers."""
    plan = recipe.fit
    assert plan.batch_rows is not None
    optimizer = torch.optim.AdamW(kan.parameters(), weight_decay=plan.weight_decay)
    generator = torch.Generator().manual_seed(plan.seed)
    count = max(1, round(plan.steps * epochs))
    for epoch in range(count):
        rate = plan.learning_rate * learning_rate * (1 + math.cos(math.pi * epoch / count)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        for rows in torch.split(torch.randperm(len(train.x), generator=generator), plan.batch_rows):
            optimizer.zero_grad()
            loss = cross_entropy(kan(train.x[rows]), train.y[rows])
            if factor:
                loss = loss + factor * penalty(kan, train.x[rows])
            torch.autograd.backward(loss)
            optimizer.step()


def _samples(dataset: Dataset, recipe: Recipe, rows: RowNumbers) -> Samples:
    transform = input_transform(dataset, recipe.inputs.scaling)
    return samples(dataset, rows, transform, output_transform(dataset), torch.float32)


def _edges(kan: KAN) -> int:
    return sum(int(layer.active_edges.sum()) for layer in kan.layers)


def _accuracy(kan: KAN, rows: Samples) -> float:
    with torch.no_grad():
        return float((kan(rows.x).argmax(dim=1) == rows.y).double().mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the networks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper.digits_pruned", description=__doc__)
    parser.parse_args(arguments)
    with torch_threads(1):
        print(table(digits_pruned()))


if __name__ == "__main__":
    main()
