"""[symbolic] choice = "in-context": a formula found by shapes and by the whole network's loss."""

from dataclasses import replace

import torch

from kan_model import KAN
from kan_model.network.layer import KANLayer
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.transform import Affine
from training.data.samples import Samples
from training.errors import quoted_list
from training.formulas import FormulaSearch, NoFormula, search_formula
from training.formulas.shapes import shape_text
from training.recipe.fit_sections import FormulaSection, SymbolicSection
from training.steps.advice import Advice
from training.steps.gate import decline, find_silence
from training.steps.state import Check, Finished, FoundFormula, OnMessage, StepData, StepFailed, validation_loss
from training.steps.symbolic import keep_splines, write_formula

# The unit of [symbolic] budget: so many edges in one step of least squares each.
_UNIT = 1e3


def find_in_context(
    done: Finished,
    section: SymbolicSection,
    formula: FormulaSection | None,
    table: StepData,
    check: Check,
    on_message: OnMessage,
) -> Finished:
    """With the formula in the place of the network, if it is no worse than the section allows; else beside it.

    Raises:
        StepFailed: the formula shall be served, and there is none.
    """
    assert isinstance(table.outputs, Affine)  # The recipe allows one target on its own scale only.
    shift = float(table.outputs.center[0]) / float(table.outputs.scale[0])
    train, validation = (_engine_rows(part, shift) for part in (table.train, table.validation))
    found = search_formula(
        train,
        validation,
        functions=section.functions,
        seeds=range(section.seeds),
        budget=section.budget * _UNIT,
        check=check,
        on_message=on_message,
    )
    if isinstance(found, NoFormula):
        return _without_formula(done, _explain(found, table), formula, table.advice)
    kan = _in_network_units(found.kan, shift).to(done.kan.dtype)
    if silence := find_silence(kan, table):
        return _without_formula(done, silence.text, formula, table.advice)
    before = validation_loss(done.kan, table)
    notes = [
        f"symbolic: {_describe(found)}; validation loss {before:.3g} of the splines, "
        f"{validation_loss(kan, table):.3g} of the formula"
    ]
    if found.is_cut_short:
        spent = table.advice.of_budget(section.budget)
        notes.append(
            f"warning   the search was cut short: {spent} was spent; with a larger one the formula may be better"
        )
    if found.rival is not None and (rival := write_formula(_in_network_units(found.rival, shift), table).text):
        notes.append(
            "warning   the rows hardly tell the formula from another one, and beyond them the two may differ: " + rival
        )
    declined = decline(kan, before, section.max_loss_increase, table)
    if declined and formula is None:
        return keep_splines(done, kan, [*notes, f"warning   the formula is told and not served: {declined}"], table)
    if formula is not None and not formula.serve:
        return keep_splines(done, kan, [*notes, "formula: told beside the network, which stays"], table)
    written = write_formula(kan, table)
    beside = FoundFormula(written, kan, done.kan, is_served=True) if written.text else None
    told, splines = (*done.notes, *notes, *written.notes), None if formula else done.kan
    return replace(done, kan=kan, notes=told, formula=written.text, latex=written.latex, found=beside, splines=splines)


def _without_formula(done: Finished, reason: str, formula: FormulaSection | None, advice: Advice) -> Finished:
    if formula is not None and formula.serve:
        raise StepFailed(
            f"[formula] serve = true: no formula was found in context: {reason}. Nothing is published; change "
            f"[symbolic]: {advice.choose_by_edge}; then {advice.go_on}"
        )
    note = f"no formula in context: {reason}; {advice.choose_by_edge}; the network keeps its splines"
    return replace(done, notes=(*done.notes, f"warning   {note}"))


def _explain(found: NoFormula, table: StepData) -> str:
    """The reason, with the columns of a network that is too large."""
    if not found.inputs:
        return found.reason
    names = quoted_list([table.dataset.input_names[place] for place in found.inputs])
    return f"{found.reason}; leave out some of the columns that it reads: {names}"


def _describe(found: FormulaSearch) -> str:
    shape = f"a network of shape {shape_text(found.shape)}"
    if found.searches == 1:
        return f"the formula is {shape}"
    return f"the formula is {shape}; {found.agreeing} of {found.searches} searches found the same form"


def _engine_rows(part: Samples, shift: float) -> Samples:
    """The rows with the mean of the targets back in them."""
    return Samples(part.x.double(), part.y.double() + shift)


def _in_network_units(kan: KAN, shift: float) -> KAN:
    """One more layer takes the mean of the targets out again: the transform behind the network adds it."""
    last = KANLayer(
        torch.zeros(1, 1, dtype=torch.float64),
        torch.zeros(1, 1, 2, dtype=torch.float64),
        degree=1,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]], dtype=torch.float64),
        symbolic=[SymbolicEdge(0, 0, "x", 1.0, 0.0, 1.0, -shift)],
    )
    return KAN.of_layers([*kan.layers, last])
