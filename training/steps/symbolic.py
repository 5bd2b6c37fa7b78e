"""[symbolic]: edges that become formulas."""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from kan_model import KAN, EdgeReport, auto, fit_constants
from kan_model.functions import FUNCTIONS
from kan_model.pruning import Pruned
from training.export import Trained
from training.fit import fit_module
from training.fit_sections import FitSection, PruneSection, SymbolicSection
from training.preparation import samples
from training.steps.pruning import cut
from training.steps.state import Check, Finished, StepFailed, Table, Told, choosing_loss
from training.whole_formula import WholeFormula, whole_formula

# Splines that are named in a note.
_MOST_NAMED = 6


def symbolic(
    done: Finished, section: SymbolicSection, pruning: PruneSection | None, table: Table, check: Check, told: Told
) -> Finished:
    """With formulas where they come close, and without what matters little beside them, where edges may go.

    Raises:
        StepFailed: the formulas have no answer to some rows.
    """
    kan, edges = _with_formulas(done.kan, section, table, check, told)
    if not any(edge.fixed for edge in edges):
        text = f"symbolic: no function meets any of {len(edges)} edges with R² {section.min_r2:g}; all stay splines"
        return replace(done, notes=(*done.notes, text))
    _check_answers(kan, table)
    kan = _fitted_constants(kan, section.constants_steps, table, check)
    # Noise that a spline had learned is no function's, and next to nothing once the formulas fit.
    if pruning is not None and (smaller := cut(kan, pruning, table)).removed_edges:
        kan = _fitted_constants(smaller.kan, section.constants_steps, table, check)
        edges = [_renumbered(edge, smaller) for edge in edges if smaller.edges[edge.layer][edge.output, edge.input]]
    splines = [edge for edge in edges if not edge.fixed]
    notes = [
        f"symbolic: {len(edges) - len(splines)} of {len(edges)} edges are formulas ({_counted(kan)}); validation loss "
        f"{choosing_loss(done.kan, table):.3g} of the splines, {choosing_loss(kan, table):.3g} of the formulas"
    ]
    if limited := _limited(kan):
        notes.append(f"{', '.join(limited)}: rows outside the training ranges may be answered with NaN")
    if splines:
        notes += [_left(splines), "no formula of the whole network: it has splines"]
        return replace(done, kan=kan, notes=(*done.notes, *notes))
    found = _formula(kan, table)
    notes = [*done.notes, *notes, *found.notes]
    return replace(done, kan=kan, notes=tuple(notes), formula=found.text, latex=found.latex)


def _renumbered(edge: EdgeReport, smaller: Pruned) -> EdgeReport:
    """The same edge by the numbers of its nodes in the smaller network."""
    inputs, outputs = smaller.nodes[edge.layer], smaller.nodes[edge.layer + 1]
    return replace(edge, input=inputs.index(edge.input), output=outputs.index(edge.output))


def _with_formulas(
    kan: KAN, section: SymbolicSection, table: Table, check: Check, told: Told
) -> tuple[KAN, list[EdgeReport]]:
    edges: list[EdgeReport] = []
    for layer in range(len(kan.layers)):
        told(
            f"symbolic: layer {layer}, {int(kan.layers[layer].edge_mask.count_nonzero())} edges, all functions on each"
        )
        try:
            found = auto(
                kan,
                table.learning.x,
                min_r2=section.min_r2,
                layers=[layer],
                functions=section.functions,
                weight=section.weight,
                check=check,
            )
        except ValueError as error:
            raise StepFailed(f"[symbolic]: {error}") from None
        kan = found.kan
        edges += found.edges
        check()
    return kan, edges


def _fitted_constants(kan: KAN, steps: int, table: Table, check: Check) -> KAN:
    """The constants of all formulas fitted together, splines as they are; the network that came where that is worse."""
    if steps == 0:
        return kan
    if table.dataset.task == "regression":
        better = fit_constants(kan, table.learning.x, table.learning.y, steps=steps)
        return better if choosing_loss(better, table) < choosing_loss(kan, table) else kan
    free = copy.deepcopy(kan)
    for name, parameter in free.named_parameters():
        parameter.requires_grad_(name.endswith(("symbolic_affine", "bias")))
    # Not LBFGS: where classes can be told apart for sure, its line search follows the logits to infinity.
    plan = FitSection(optimizer="adam", steps=steps, batch_rows=None)
    best = fit_module(free, table.learning, table.choosing, plan, table.dataset.task, check).best
    return KAN.of_layers([layer.changed() for layer in best.layers])


def _check_answers(kan: KAN, table: Table) -> None:
    """A logarithm that met all training rows may have no answer to others."""
    dataset = table.dataset
    held_out = samples(dataset, dataset.test, table.inputs, table.outputs, kan.dtype)
    for what, rows in (("validation", table.choosing.x), ("held-out", held_out.x)):
        with torch.no_grad():
            silent = int((~torch.isfinite(kan(rows))).any(dim=1).sum())
        if silent:
            raise StepFailed(
                f"[symbolic]: the formulas have no answer to {silent} of {len(rows)} {what} rows, as log has none left "
                "of 0; wanted functions that answer everywhere: name them in functions, without log, sqrt, 1/x"
            )


def _formula(kan: KAN, table: Table) -> WholeFormula:
    dataset = table.dataset
    trained = Trained(kan, table.inputs, table.outputs)
    return whole_formula(trained, [feature.name for feature in dataset.features], dataset.classes or (dataset.target,))


def _counted(kan: KAN) -> str:
    """The functions of its edges, the most frequent first."""
    counts = Counter(function for layer in kan.layers for function in layer.symbolic_functions)
    return ", ".join(f"{count} {function}" for function, count in counts.most_common())


def _limited(kan: KAN) -> list[str]:
    """The functions of its edges that have no answer to some number, poles apart that no float is."""
    used = {function for layer in kan.layers for function in layer.symbolic_functions}
    return sorted(name for name in used if not FUNCTIONS[name].guard(torch.tensor([-2.0, 0.0, 2.0])).all())


def _left(splines: Sequence[EdgeReport]) -> str:
    named = ", ".join(
        f"layer {edge.layer} from {edge.input} to {edge.output}"
        + (f" (nearest: {edge.best.edge.function}, R² {edge.best.r2:.3f})" if edge.best else "")
        for edge in splines[:_MOST_NAMED]
    )
    more = f" and {len(splines) - _MOST_NAMED} more" if len(splines) > _MOST_NAMED else ""
    return f"still splines: {named}{more}"
