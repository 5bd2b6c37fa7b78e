"""[symbolic]: edges that become formulas."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kan_model import KAN, EdgeReport, Symbolized, auto_symbolic, fit_constants
from kan_model.analysis.pruning import Pruned
from training.data.encoding import Numbers
from training.fitting.fit import fit_module
from training.publishing.export import Trained
from training.publishing.whole_formula import WholeFormula, whole_formula
from training.recipe.fit_sections import FitSection, FormulaSection, PruneSection, SymbolicSection
from training.steps.advice import Advice
from training.steps.gate import decline, find_silence
from training.steps.pruning import cut
from training.steps.state import Check, Finished, FoundFormula, OnMessage, StepData, StepFailed, validation_loss
from training.steps.symbolic_notes import (
    OF_ONE_FIT,
    count_functions,
    describe_splines,
    foretell,
    list_limited_functions,
)

# Edges without an answer to some row that are named in a note.
_MOST_NAMED = 6


def find_formulas(
    done: Finished,
    section: SymbolicSection,
    formula: FormulaSection | None,
    pruning: PruneSection | None,
    table: StepData,
    check: Check,
    on_message: OnMessage,
) -> Finished:
    """With formulas where they come close, and without what matters little beside them, where edges may go.

    A network that has no answer to some row, or is worse than the section allows, is dropped for the last one before.
    With [formula] the recipe says which network stays, however much worse the formula is.

    Raises:
        StepFailed: the formula shall be served, and there is none of the whole network.
    """
    kan, edges, notes = _fix_formulas(done.kan, section, table, check, on_message)
    if not any(edge.fixed for edge in edges):
        named = describe_splines(edges, table.dataset.input_names, table.advice)
        _refuse_to_serve(formula, len(edges), len(edges), [named, *notes], table.advice)
        text = f"symbolic: no function meets any of {len(edges)} edges with R² {section.min_r2:g}; all stay splines"
        return replace(done, notes=(*done.notes, *(notes or [text, named])))
    kan, dropped = _refit_constants(kan, section.constants_steps, table, check)
    notes += dropped
    before = validation_loss(done.kan, table)
    declined = decline(kan, before, section.max_loss_increase, table)
    if declined and formula is None:
        of_all = f"{sum(edge.fixed for edge in edges)} of {len(edges)} edges would be formulas"
        text = f"warning   no formulas: {of_all}, {declined}"
        return keep_splines(done, kan, [*notes, text], table)
    # Noise that a spline had learned is no function's, and next to nothing once the formulas fit.
    if pruning is not None and (smaller := cut(kan, pruning, table)).removed_edges:
        allowed = validation_loss(kan, table) if declined else before
        smaller_kan, dropped, flaw = _fit_smaller(smaller, allowed, section, table, check)
        if flaw:
            notes.append(f"formulas not pruned: {smaller.left_edges} edges would be left, {flaw}")
        else:
            left = [edge for edge in edges if smaller.edges[edge.layer][edge.output, edge.input]]
            kan, notes, edges = smaller_kan, [*notes, *dropped], [_renumber(edge, kan, smaller) for edge in left]
    splines = [edge for edge in edges if not edge.fixed]
    notes += [
        f"symbolic: {len(edges) - len(splines)} of {len(edges)} edges are formulas ({count_functions(kan)}); "
        f"validation loss {before:.3g} of the splines, {validation_loss(kan, table):.3g} of the formulas"
    ]
    if limited := list_limited_functions(kan):
        notes.append(f"{', '.join(limited)}: rows outside the training ranges may be answered with NaN")
    if splines:
        named = describe_splines(splines, table.dataset.input_names, table.advice)
        _refuse_to_serve(formula, len(splines), len(edges), [named, *notes], table.advice)
        notes += [named, "no formula of the whole network: it has splines"]
        told = (*done.notes, *notes)
        return replace(done, notes=told) if formula else replace(done, kan=kan, notes=told, splines=done.kan)
    notes.append(OF_ONE_FIT)
    if formula is not None and not formula.serve:
        return keep_splines(done, kan, [*notes, "formula: told beside the network, which stays"], table)
    written = write_formula(kan, table)
    if formula is not None and not written.text:
        raise StepFailed(f"[formula] serve = true: {'; '.join(written.notes)}")
    found = FoundFormula(written, kan, done.kan, is_served=True) if written.text else None
    told, before_it = (*done.notes, *notes, *written.notes), None if formula else done.kan
    return replace(done, kan=kan, notes=told, formula=written.text, latex=written.latex, found=found, splines=before_it)


def keep_splines(done: Finished, kan: KAN, notes: Sequence[str], table: StepData) -> Finished:
    """The network as it was, with the formula of the other one beside it, if that is a formula as a whole."""
    has_splines = any((layer.edge_mask != 0).any() for layer in kan.layers)
    written = None if has_splines else write_formula(kan, table)
    found = FoundFormula(written, kan, done.kan, is_served=False) if written and written.text else None
    more = written.notes if written else ()
    return replace(done, notes=(*done.notes, *notes, *more), found=found)


def _refuse_to_serve(
    formula: FormulaSection | None, splines: int, edges: int, notes: Sequence[str], advice: Advice
) -> None:
    """Raise if the formula shall be served although some edges stay splines."""
    if formula is not None and formula.serve:
        message = (
            "[formula] serve = true: there is no formula of the whole network, so nothing is published; "
            f"{splines} of {edges} edges stay splines. Lower [symbolic] min_r2, allow more functions, use "
            f"fewer hidden nodes, or leave out serve; then {advice.go_on}"
        )
        raise StepFailed("\n  ".join([message, *notes]))


def _fit_smaller(
    smaller: Pruned, before: float, section: SymbolicSection, table: StepData, check: Check
) -> tuple[KAN, list[str], str | None]:
    """The smaller network fitted again, what to say of it, and why it is dropped; None where it is not."""
    # An edge that goes moves what reaches the logarithms behind it.
    if flaw := find_silence(smaller.kan, table):
        return smaller.kan, [], flaw.text
    kan, notes = _refit_constants(smaller.kan, section.constants_steps, table, check)
    return kan, notes, decline(kan, before, section.max_loss_increase, table)


def _renumber(edge: EdgeReport, kan: KAN, smaller: Pruned) -> EdgeReport:
    """The same edge by the numbers that its input and its sum have in the smaller network."""
    inputs, nodes = smaller.nodes[edge.layer], smaller.nodes[edge.layer + 1]
    products = kan.layers[edge.layer].products
    sums = nodes if products is None else tuple(products.sums_of(nodes).tolist())
    return replace(edge, input=inputs.index(edge.input), output=sums.index(edge.output))


def _fix_formulas(
    kan: KAN, section: SymbolicSection, table: StepData, check: Check, on_message: OnMessage
) -> tuple[KAN, list[EdgeReport], list[str]]:
    """The network, what became of its edges, and of those that have no answer to some row, why they stay splines."""
    edges: list[EdgeReport] = []
    silent: list[str] = []
    counts = [int(layer.edge_mask.count_nonzero()) for layer in kan.layers]
    on_message(foretell(sum(counts), table.advice))
    for layer, count in enumerate(counts):
        on_message(f"symbolic: layer {layer}, {count} {'edge' if count == 1 else 'edges'}")
        try:
            found = auto_symbolic(
                kan,
                table.train.x,
                min_r2=section.min_r2,
                layers=[layer],
                functions=section.functions,
                weight=section.weight,
                check=check,
            )
        except ValueError as error:
            raise StepFailed(f"[symbolic]: {error}") from None
        kan, of_layer, flaws = _keep_those_that_answer(kan, found, layer, table)
        edges += of_layer
        silent += flaws
        check()
    notes = [f"warning   stays a spline: {flaw}" for flaw in silent[:_MOST_NAMED]]
    more = len(silent) - _MOST_NAMED
    return kan, edges, notes + ([f"warning   and {more} more formulas without an answer to some row"] * (more > 0))


def _keep_those_that_answer(
    before: KAN, found: Symbolized, layer: int, table: StepData
) -> tuple[KAN, Sequence[EdgeReport], list[str]]:
    """Those of a layer's formulas that have an answer to all rows; the other edges stay as they were."""
    kan, edges, flaws = found.kan, found.edges, []
    while flaw := find_silence(kan, table):
        flaws.append(flaw.text)
        # Where no edge of this layer is at fault, none of its formulas can be blamed, and none is kept.
        blamed = flaw.edge is not None and any((edge.layer, edge.output, edge.input) == flaw.edge for edge in edges)
        edges = tuple(
            replace(edge, fixed=edge.fixed and blamed and (edge.layer, edge.output, edge.input) != flaw.edge)
            for edge in edges
        )
        formulas = [edge.best.edge for edge in edges if edge.best and edge.fixed]
        layers = [each.with_symbolic(formulas) if index == layer else each for index, each in enumerate(before.layers)]
        kan = before.with_layers(layers)
        if not formulas:
            break
    return kan, edges, flaws


def _refit_constants(kan: KAN, steps: int, table: StepData, check: Check) -> tuple[KAN, list[str]]:
    """The constants of all formulas fitted together, splines as they are, and what to say of it.

    The network that came where the other one is worse, or has no answer to some row.
    """
    if steps == 0:
        return kan, []
    better = _improve_constants(kan, steps, table, check)
    if flaw := find_silence(better, table):
        return kan, [f"warning   the formulas' constants stay as they were, since fitted together: {flaw.text}"]
    return better, []


def _improve_constants(kan: KAN, steps: int, table: StepData, check: Check) -> KAN:
    if table.loss.name == "squared_error" and table.train.weights is None:
        better = fit_constants(kan, table.train.x, table.train.y, steps=steps)
        return better if validation_loss(better, table) < validation_loss(kan, table) else kan
    free = copy.deepcopy(kan)
    for name, parameter in free.named_parameters():
        parameter.requires_grad_(name.endswith(("symbolic_affine", "bias")))
    # Not LBFGS: where classes can be told apart for sure, its line search follows the logits to infinity.
    plan = FitSection(optimizer="adam", steps=steps, batch_rows=None)
    best = fit_module(free, table.train, table.validation, plan, table.loss, check).best
    return kan.with_layers([layer.changed() for layer in best.layers])


def write_formula(kan: KAN, table: StepData) -> WholeFormula:
    """The formula of a network without splines, in raw units."""
    dataset = table.dataset
    trained = Trained(kan, table.inputs, table.outputs)
    return whole_formula(
        trained, dataset.input_names, dataset.classes or dataset.targets, _rows_of_least_squares(table)
    )


def _rows_of_least_squares(table: StepData) -> tuple[Numbers, Numbers] | None:
    """Rows and targets in raw units, if least squares in these units without weights fit constants to them."""
    dataset = table.dataset
    is_plain = table.loss.name == "squared_error" and table.train.weights is None and len(dataset.targets) == 1
    if not is_plain or dataset.gaps or dataset.target_scale == "log":
        return None
    rows, targets = dataset.x[dataset.train], dataset.y[dataset.train].astype(np.float64)
    whole = np.isfinite(rows).all(axis=1)
    return rows[whole], targets[whole]
