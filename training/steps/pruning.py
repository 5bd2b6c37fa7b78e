"""[prune]: a smaller network, fitted again."""

from collections.abc import Sequence
from dataclasses import replace

from kan_model import KAN, prune
from kan_model.pruning import Pruned
from training.fit import fit_module
from training.fit_sections import FitSection, PruneSection
from training.record import Record
from training.steps.state import Check, Finished, StepFailed, Table, choosing_loss

# Rounds of cutting and fitting; what is left after them stays.
_MOST_CUTS = 3


def pruned(done: Finished, section: PruneSection, plan: FitSection, table: Table, check: Check) -> Finished:
    """Without the edges that matter least; raises :class:`StepFailed` where nothing would be left.

    What matters little after the second fit goes too: edges that share their work in the first fit do so no more.
    """
    steps = max(1, plan.steps // 4) if section.refit_steps is None else section.refit_steps
    plan = plan.model_copy(update={"steps": max(1, steps)})
    kan, history = done.kan, list(done.history)
    smaller = cut(kan, section, table)
    edges = smaller.left_edges + smaller.removed_edges
    losses = [f"{choosing_loss(kan, table):.3g} before", f"{choosing_loss(smaller.kan, table):.3g} after"]
    for _ in range(_MOST_CUTS):
        kan = smaller.kan
        if steps:
            again = fit_module(kan, table.learning, table.choosing, plan, table.dataset.task, check)
            kan = again.best
            history += _on_grid(kan, again.history)
        smaller = cut(kan, section, table)
        if smaller.removed_edges == 0:
            break
    if steps:
        losses.append(f"{choosing_loss(kan, table):.3g} fitted again")
    text = (
        f"pruned: {smaller.left_edges + smaller.removed_edges} of {edges} edges left, "
        f"network {list(done.kan.width)} -> {list(kan.width)}; validation loss {', '.join(losses)}"
    )
    return replace(done, kan=kan, notes=(*done.notes, text), history=tuple(history))


def cut(kan: KAN, section: PruneSection, table: Table) -> Pruned:
    """Once, as the section says; raises :class:`StepFailed` where nothing would be left."""
    try:
        return prune(
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


def _on_grid(kan: KAN, history: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(replace(record, grid_size=kan.layers[0].grid_size) for record in history)
