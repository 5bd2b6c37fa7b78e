"""The formula of a whole network, as manifests and reports tell it."""

from collections.abc import Sequence
from dataclasses import dataclass

from kan_model.formula.expression import formula
from training.publishing.export import Trained

_DIGITS = 4
# For people: what rounding left beside a whole number.
_NEAR = 1e-12
# Ways from a feature to an output; longer formulas nobody reads.
_MOST_TERMS = 500


@dataclass(frozen=True)
class WholeFormula:
    """The formula, one line an output, in raw units.

    Attributes:
        text: As plain text; empty where there is no whole formula.
        latex: The right-hand sides as LaTeX, without dollar signs.
        notes: What to know about it, or why there is none.
    """

    text: str
    latex: str
    notes: tuple[str, ...]


def whole_formula(trained: Trained, features: Sequence[str], outputs: Sequence[str]) -> WholeFormula:
    """The formula of the network, where there is one that is short enough to be read.

    Args:
        trained: The network.
        features: Their names.
        outputs: Their names.
    """
    try:
        found = formula(
            trained.kan,
            inputs=trained.inputs,
            outputs=trained.outputs,
            names=features,
            digits=_DIGITS,
            near=_NEAR,
            max_terms=_MOST_TERMS,
        )
    except ValueError as error:
        return WholeFormula("", "", (f"no formula of the whole network: {error}",))
    text = "\n".join(f"{name} = {text}" for name, text in zip(outputs, found.text, strict=True))
    return WholeFormula(text, "\n".join(found.latex), found.notes)
