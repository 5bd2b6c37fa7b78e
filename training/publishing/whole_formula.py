"""The formula of a whole network, for manifests and reports."""

from collections.abc import Sequence
from dataclasses import dataclass

from kan_model.formula.expression import formula
from training.publishing.export import Trained

_DIGITS = 4
# Numbers this close to a whole number are whole up to rounding.
_NEAR = 1e-12
# The most paths from a feature to an output; nobody reads longer formulas.
_MOST_TERMS = 500


@dataclass(frozen=True)
class WholeFormula:
    """The formula, one line per output, in raw units.

    Attributes:
        text: Plain text; empty if there is no formula of the whole network.
        latex: The right-hand sides as LaTeX, without dollar signs.
        notes: Remarks on the formula, or why there is none.
        sides: The right-hand sides as plain text, one for each output.
        latex_sides: The same as LaTeX.
    """

    text: str
    latex: str
    notes: tuple[str, ...]
    sides: tuple[str, ...] = ()
    latex_sides: tuple[str, ...] = ()


def whole_formula(trained: Trained, features: Sequence[str], outputs: Sequence[str]) -> WholeFormula:
    """The formula of the network, if there is one with at most 500 terms.

    Args:
        trained: The network.
        features: Names of the features.
        outputs: Names of the outputs.
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
    return WholeFormula(text, "\n".join(found.latex), found.notes, found.text, found.latex)
