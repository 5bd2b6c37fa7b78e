"""The formula of a finished run, searched again with other bounds: [prune] and [symbolic] without another fit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kan_api.v1.manifest_pb2 import Formula
from training.data.dataset import prepare_table
from training.data.preparation import input_transform, output_transform
from training.data.source import load_source
from training.pipelines.fresh.kept_run import read_run
from training.pipelines.run_folder import RunError
from training.publishing.export import Trained
from training.publishing.whole_formula import formula_details
from training.recipe.symbolic import check_choice, symbolic_section
from training.steps import StepData, finish
from training.threads import torch_threads

# A formula is told however much worse than the network it is.
_ANY_INCREASE = 1e9


@dataclass(frozen=True)
class FoundAgain:
    """The result of a further search.

    Attributes:
        text: One line an output, in raw units; empty if there is no formula of the whole network.
        notes: Remarks on the way, for people; they name the edges that stay splines.
        details: The formula beside the network on the test rows; None without a formula.
    """

    text: str
    notes: tuple[str, ...]
    details: Formula | None


@torch_threads(1)
def find_formula(
    folder: Path,
    changes: Mapping[str, Any],
    on_message: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
) -> FoundAgain:
    """Search the formula of a finished run; nothing is published or changed.

    Args:
        folder: ``runs/<model name>``.
        changes: Keys of [symbolic] to change; for the others the recipe of the run decides.
        on_message: Is told of each step, and before the first of the edges of the network.
        check: Called often, before each edge for example; it may raise to end the work.

    Raises:
        RunError: there is no finished run, or its table has changed.
        TrainingError: the table cannot be read, or the keys do not fit the recipe or each other.
    """
    kept = read_run(folder)
    recipe = kept.recipe
    if recipe.network.monotone:
        raise RunError(
            f"{folder}: was run with [network] monotone, and a formula's functions may turn; run its recipe without it"
        )
    section = symbolic_section(changes, recipe.symbolic)
    check_choice(section, recipe.task, recipe.data)
    wanted = section.model_copy(update={"max_loss_increase": _ANY_INCREASE})
    edges = sum(int(layer.active_edges.count_nonzero()) for layer in kept.kan.layers)
    cut = "; [prune] cuts some first" if recipe.prune is not None else ""
    on_message(f"{folder}: the network of this run has {edges} edges{cut}. Ctrl-C ends the search and changes nothing")
    dataset = prepare_table(recipe, *load_source(recipe.data))
    if dataset.fingerprint != kept.fingerprint:
        raise RunError(f"{folder}: the table has changed since the run: {dataset.source}; run its recipe again")
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    table = StepData.of(dataset, inputs, outputs, kept.kan.dtype)
    steps = {"symbolic": wanted, "formula": None, "attribution": None, "baseline": None}
    finished = finish(kept.kan, recipe.model_copy(update=steps), table, check, on_message)
    if (found := finished.found) is None:
        return FoundAgain("", finished.notes, None)
    formula, network = (Trained(kan, inputs, outputs) for kan in (found.kan, found.splines))
    details = formula_details(dataset, found.written, formula, network, served=False)
    return FoundAgain(found.written.text, finished.notes, details)
