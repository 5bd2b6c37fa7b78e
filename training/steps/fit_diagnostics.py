"""What a run says of its fit, and of a graph that is refused."""

from collections.abc import Sequence

import torch

from kan_model import FUNCTIONS, KAN
from training.fitting.fit import FitState, TrainingDiverged
from training.fitting.state import note_divergence
from training.recipe.fit_sections import FitSection
from training.steps import StepData
from training.steps.advice import FOR_RECIPES, Advice
from training.steps.state import validation_loss

# How many times the loss before the first step a fit may end at: more is no accident of few validation rows.
_DIVERGED = 10.0
# Arguments at which functions are looked at, and how far one may move between two of them.
_FAR, _STEPS, _STEEP = 10.0, 20_001, 1.0


def diagnose_fit(state: FitState, start: KAN, plan: FitSection, table: StepData) -> list[str]:
    """What a person should know of a fit that ended.

    Args:
        state: At its end; a step that was worse than its start is not its best, but stands in its history.
        start: The network before the first step.
        plan: As the fit followed it.
        table: The rows.

    Raises:
        TrainingDiverged: every step was far worse on the validation rows than the network that it began with.
    """
    before = validation_loss(start, table)
    best = min((record.validation_loss for record in state.history), default=state.best_loss)
    losses = f"validation loss {best:.3g}, {before:.3g} before the first step"
    if best > _DIVERGED * before:
        rate = (
            ""
            if plan.optimizer == "levenberg-marquardt"
            else f"a smaller learning_rate (now {plan.learning_rate:g}) or "
        )
        wanted = f"{rate}scaled rows and targets, {table.advice.start_anew}"
        raise TrainingDiverged(f"the fit ended worse than it began: {losses}; wanted {wanted}")
    # A fit that an older version began did not count its start.
    kept = ", which is kept" if state.best_loss <= before else ""
    worse = f"warning   no step was better than the network before the first{kept}: {losses}"
    return note_divergence(state) + ([worse] if best > before else [])


def suggest_change(kan: KAN, advice: Advice = FOR_RECIPES) -> str:
    """What could be changed where the graph of this network is refused; the functions that may be at fault by name."""
    hint = advice.pass_verification
    steep = [
        f"{', '.join(names)} (layer {index})"
        for index, layer in enumerate(kan.layers)
        if (names := _find_steep(layer.symbolic_functions))
    ]
    return f"{hint}, or {advice.leave_functions_out} {' and '.join(steep)}" if steep else hint


def _find_steep(functions: Sequence[str]) -> list[str]:
    """Those of which float32 cannot be near to float64 everywhere: steep somewhere, or without an answer."""
    x = torch.linspace(-_FAR, _FAR, _STEPS, dtype=torch.float64)
    found = []
    for name in sorted(set(functions)):
        moved = torch.diff(FUNCTIONS[name].torch(x)).abs()
        if not bool((moved <= _STEEP).all()):
            found.append(name)
    return found
