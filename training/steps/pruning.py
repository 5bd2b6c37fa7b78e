"""[prune]: a smaller network, fitted again."""

from dataclasses import replace

from kan_api.network_text import levels_text
from kan_model import KAN, prune
from kan_model.analysis.pruning import Pruned
from kan_model.monotone.promise import settled
from training.fitting.fit import fit_module
from training.fitting.record import Record
from training.publishing.message.network import network_message
from training.recipe.fit_sections import FitSection, PruneSection
from training.steps.gate import decline
from training.steps.state import Check, Finished, StepData, StepFailed, validation_loss

# Rounds of cutting and fitting; what is left after them stays.
_MOST_CUTS = 3


def prune_network(done: Finished, section: PruneSection, plan: FitSection, table: StepData, check: Check) -> Finished:
    """Without the edges that matter least; raises :class:`StepFailed` where nothing would be left.

    What matters little after the second fit goes too: edges that share their work in the first fit do so no more. A
    network that is worse than the section allows is dropped, for the last one before it that is not.
    """
    steps = max(1, plan.steps // 4) if section.refit_steps is None else section.refit_steps
    plan = plan.model_copy(update={"steps": max(1, steps)})
    kan, history, before = done.kan, list(done.history), validation_loss(done.kan, table)
    smaller = cut(kan, section, table)
    edges = smaller.left_edges + smaller.removed_edges
    losses = [f"{before:.3g} before", f"{validation_loss(smaller.kan, table):.3g} after"]
    declined: str | None = None
    for _ in range(_MOST_CUTS):
        candidate, records = smaller.kan, tuple[Record, ...]()
        if steps:
            again = fit_module(candidate, table.train, table.validation, plan, table.loss, check)
            candidate, records = settled(again.best), again.history
        if declined := decline(candidate, before, section.max_loss_increase, table):
            break
        kan, history = candidate, [*history, *records]
        smaller = cut(kan, section, table)
        if smaller.removed_edges == 0:
            break
    if kan is done.kan:
        text = f"warning   not pruned: {smaller.left_edges} of {edges} edges would be left, {declined}"
        return replace(done, notes=(*done.notes, text))
    if steps:
        losses.append(f"{validation_loss(kan, table):.3g} fitted again")
    text = (
        f"pruned: {sum(int(layer.active_edges.sum()) for layer in kan.layers)} of {edges} edges left, "
        f"network {_shape(done.kan)} -> {_shape(kan)}; validation loss {', '.join(losses)}"
    )
    further = [f"not pruned further: {smaller.left_edges} edges would be left, {declined}"] if declined else []
    return replace(done, kan=kan, notes=(*done.notes, text, *further), history=tuple(history))


def _shape(kan: KAN) -> str:
    """As the summary writes it: nodes that multiply are told apart."""
    return levels_text(network_message(kan, None))


def cut(kan: KAN, section: PruneSection, table: StepData) -> Pruned:
    """Once, as the section says; raises :class:`StepFailed` where nothing would be left."""
    try:
        return prune(
            kan,
            table.train.x,
            node_threshold=section.node_threshold,
            edge_threshold=section.edge_threshold,
            edges=section.edges,
            # Clients of the model's other versions send all features.
            keep_inputs=True,
        )
    except ValueError as error:
        raise StepFailed(f"[prune]: {error}") from None
