"""What a recipe can ask for after the fit: a smaller network, and one made of formulas."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from kan_model import KAN, EdgeReport, auto, fit_constants, prune
from kan_model.formula import formula
from kan_model.functions import FUNCTIONS
from kan_model.transform import InputTransform, OutputTransform
from training.config import FitSection, PruneSection, Recipe, SymbolicSection
from training.data import Dataset
from training.errors import TrainingError
from training.fit import Record, Samples, fit_module
from training.objective import loss
from training.preparation import samples

_DIGITS = 4
# For people: what rounding left beside a whole number.
_NEAR = 1e-12
# Ways from a feature to an output; longer formulas nobody reads.
_MOST_TERMS = 500
# Splines that are named in a note.
_MOST_NAMED = 6


class StepFailed(TrainingError):
    """A step after the fit cannot be done as the recipe asks."""


@dataclass(frozen=True)
class Finished:
    """The network after all steps.

    Attributes:
        kan: The network to publish.
        notes: A sentence or two on each step, for people.
        formula: One line an output, in raw units; empty where there is none.
        history: Of the fits of these steps.
    """

    kan: KAN
    notes: tuple[str, ...] = ()
    formula: str = ""
    history: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Table:
    """The rows as the network sees them, and what stands around it.

    Attributes:
        dataset: The table.
        learning: Rows that train.
        choosing: Rows that choose.
        inputs: What stands before the network.
        outputs: What stands behind it.
    """

    dataset: Dataset
    learning: Samples
    choosing: Samples
    inputs: InputTransform
    outputs: OutputTransform

    @classmethod
    def of(cls, dataset: Dataset, inputs: InputTransform, outputs: OutputTransform, dtype: torch.dtype) -> "Table":
        """For networks of this type."""
        learning, choosing = (
            samples(dataset, rows, inputs, outputs, dtype) for rows in (dataset.train, dataset.validation)
        )
        return cls(dataset, learning, choosing, inputs, outputs)


def finish(kan: KAN, recipe: Recipe, table: Table, check: Callable[[], None]) -> Finished:
    """Prune and find formulas, as far as the recipe asks for it; the same network gives the same result.

    Args:
        kan: The fitted network; it is left as it is.
        recipe: With or without [prune] and [symbolic].
        table: Training rows say what may go and what a formula has to meet, validation rows choose.
        check: Called often; it may raise to end the work.

    Raises:
        StepFailed: nothing would be left, or formulas that have no answer to some rows.
    """
    done = Finished(kan)
    if recipe.prune is not None:
        done = _pruned(done, recipe.prune, recipe.fit, table, check)
        check()
    if recipe.symbolic is not None:
        done = _symbolic(done, recipe.symbolic, table, check)
        check()
    return done


def _pruned(
    done: Finished, section: PruneSection, plan: FitSection, table: Table, check: Callable[[], None]
) -> Finished:
    kan = done.kan
    try:
        pruned = prune(
            kan,
            table.learning.x,
            node_threshold=section.node_threshold,
            edge_threshold=section.edge_threshold,
            edges=section.edges,
            # Clients of the model's other versions send all features.
            keep_inputs=True,
        )
    except ValueError as error:
        raise StepFailed(f"[prune]: {error}") from None
    edges = pruned.left_edges
    text = f"pruned: {edges} of {edges + pruned.removed_edges} edges left, "
    text += f"network {list(kan.width)} -> {list(pruned.kan.width)}; "
    text += f"validation loss {_loss(kan, table):.3g} before, {_loss(pruned.kan, table):.3g} after"
    steps = max(1, plan.steps // 4) if section.refit_steps is None else section.refit_steps
    if steps == 0:
        return replace(done, kan=pruned.kan, notes=(*done.notes, text))
    plan = plan.model_copy(update={"steps": steps})
    again = fit_module(pruned.kan, table.learning, table.choosing, plan, table.dataset.task, check)
    text += f", {_loss(again.best, table):.3g} fitted again"
    return Finished(
        again.best, (*done.notes, text), done.formula, (*done.history, *_on_grid(again.best, again.history))
    )


def _symbolic(done: Finished, section: SymbolicSection, table: Table, check: Callable[[], None]) -> Finished:
    kan, edges = _with_formulas(done.kan, section, table, check)
    if not any(edge.fixed for edge in edges):
        text = f"symbolic: no function meets any of {len(edges)} edges with R² {section.min_r2:g}; all stay splines"
        return replace(done, notes=(*done.notes, text))
    _check_answers(kan, table)
    if section.constants_steps:
        kan = _fitted_constants(kan, section.constants_steps, table, check)
    fixed = sum(edge.fixed for edge in edges)
    notes = [
        f"symbolic: {fixed} of {len(edges)} edges are formulas; validation loss {_loss(done.kan, table):.3g} "
        f"of the splines, {_loss(kan, table):.3g} of the formulas"
    ]
    if splines := [edge for edge in edges if not edge.fixed]:
        notes.append(_left(splines))
    if limited := _limited(kan):
        notes.append(f"{', '.join(limited)}: rows outside the training ranges may be answered with NaN")
    text, more = _formula(kan, table)
    return replace(done, kan=kan, notes=(*done.notes, *notes, *more), formula=text)


def _with_formulas(
    kan: KAN, section: SymbolicSection, table: Table, check: Callable[[], None]
) -> tuple[KAN, list[EdgeReport]]:
    edges: list[EdgeReport] = []
    for layer in range(len(kan.layers)):
        try:
            found = auto(
                kan,
                table.learning.x,
                min_r2=section.min_r2,
                layers=[layer],
                functions=section.functions,
                weight=section.weight,
            )
        except ValueError as error:
            raise StepFailed(f"[symbolic]: {error}") from None
        kan = found.kan
        edges += found.edges
        check()
    return kan, edges


def _fitted_constants(kan: KAN, steps: int, table: Table, check: Callable[[], None]) -> KAN:
    """The constants of all formulas fitted together, splines as they are; the network that came where that is worse."""
    if table.dataset.task == "regression":
        better = fit_constants(kan, table.learning.x, table.learning.y, steps=steps)
        return better if _loss(better, table) < _loss(kan, table) else kan
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


def _formula(kan: KAN, table: Table) -> tuple[str, Sequence[str]]:
    """One line an output, and what to know about them; no line where there is no whole formula."""
    dataset = table.dataset
    try:
        found = formula(
            kan,
            inputs=table.inputs,
            outputs=table.outputs,
            names=[feature.name for feature in dataset.features],
            digits=_DIGITS,
            near=_NEAR,
            max_terms=_MOST_TERMS,
        )
    except ValueError as error:
        return "", [f"no formula of the whole network: {error}"]
    names = dataset.classes or (dataset.target,)
    return "\n".join(f"{name} = {text}" for name, text in zip(names, found.text, strict=True)), found.notes


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


def _loss(kan: KAN, table: Table) -> float:
    with torch.no_grad():
        return float(loss(table.dataset.task, kan(table.choosing.x), table.choosing.y))


def _on_grid(kan: KAN, history: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(replace(record, grid_size=kan.layers[0].grid_size) for record in history)
