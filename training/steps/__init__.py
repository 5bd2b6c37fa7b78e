"""What a recipe can ask for after the fit: a smaller network, one made of formulas, and what there is to know of it."""

from dataclasses import replace

from kan_model import KAN
from training.recipe.config import Recipe
from training.steps.attribution import add_attribution
from training.steps.baseline import compare_with_baselines
from training.steps.in_context import find_in_context
from training.steps.pruning import prune_network
from training.steps.state import Check, Finished, OnMessage, StepData, StepFailed
from training.steps.symbolic import find_formulas

__all__ = ["Finished", "StepData", "StepFailed", "finish"]


def finish(kan: KAN, recipe: Recipe, table: StepData, check: Check, on_message: OnMessage = lambda _: None) -> Finished:
    """Prune, find formulas and look around, as far as the recipe asks for it; the same network gives the same result.

    A step whose network is too much worse than the one before, or has no answer to some row, is taken back: the last
    good network stays, and the notes say why.

    Args:
        kan: The fitted network; it is left as it is.
        recipe: With or without [prune], [symbolic], [formula], [attribution] and [baseline].
        table: Training rows say what may go and what a formula has to meet, validation rows choose.
        check: Called often; it may raise to end the work.
        on_message: Called with a line when something begins that takes its time.

    Raises:
        StepFailed: nothing would be left, no MLP of this size, no formula where it shall be served.
    """
    done = Finished(kan)
    if recipe.prune is not None:
        on_message("prune: cutting edges, fitting the others again")
        done = prune_network(done, recipe.prune, recipe.fit, table, check)
        check()
    if recipe.symbolic is not None:
        if recipe.symbolic.choice == "in-context":
            done = find_in_context(done, recipe.symbolic, recipe.formula, table, check, on_message)
        else:
            done = find_formulas(done, recipe.symbolic, recipe.formula, recipe.prune, table, check, on_message)
        check()
    if recipe.attribution is not None:
        done = add_attribution(done, recipe.attribution, table, validation_trains=recipe.validation_only_trains)
        check()
    if recipe.baseline is not None:
        # If the validation rows trained the network, no score of them tells anything beside its own.
        rows = table if not recipe.validation_trains else replace(table, dataset=table.dataset.without_validation())
        done = compare_with_baselines(done, kan, recipe.baseline, recipe.fit, rows, check, on_message)
    return done
