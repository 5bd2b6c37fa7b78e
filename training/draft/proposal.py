"""Choose task, inputs, split and sizes for a table, with the reason for each choice."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.column import class_words, has_decimal_commas, parse_numbers, words
from training.data.split import SMALLEST_CLASS_ROWS
from training.draft.fit_plan import FitPlan, plan_fit
from training.draft.inspection import ColumnFacts, Inspection
from training.draft.target_scale import is_for_log_scale
from training.errors import DataError, quoted

_MOST_CLASSES_OF_NUMBERS = 20
_DROPPED_SHARE = 0.05
_SPARSE_SHARE = 0.3
_FEWEST_DATES = 10
_CAMEL_ID = re.compile(r"[a-z](?:Id|ID|Uuid|UUID)$")
_PLAIN_ID = re.compile(r"(?:^|[^a-z])(?:id|uuid|guid)$", re.IGNORECASE)


@dataclass(frozen=True)
class SplitChoice:
    """A kind of split, the column that it uses, and the reason."""

    kind: Literal["random", "stratified", "time", "group"]
    column: str | None
    why: str


@dataclass(frozen=True)
class Proposal:
    """Choices for a recipe. `splits` are in order of preference, because the first may not work on the table."""

    task: Literal["classification", "regression"]
    why_task: str
    inputs: tuple[ColumnFacts, ...]
    left_out: tuple[tuple[str, str], ...]
    missing: Literal["refuse", "median", "drop_rows"]
    why_missing: str
    splits: tuple[SplitChoice, ...]
    fit: FitPlan
    is_log_scale: bool


def propose(inspection: Inspection) -> Proposal:
    """Choose task, inputs, treatment of missing cells, split and sizes.

    Raises:
        DataError: the target cannot be predicted, or no column is left as an input.
    """
    task, why_task = _task(inspection)
    target = inspection.facts(inspection.target)
    others = [facts for facts in inspection.columns if facts.name != inspection.target]
    left_out = {facts.name: why for facts in others if (why := _why_left_out(inspection, facts))}
    if len(left_out) == len(others):
        # A column that only looks like a counter is better than no input.
        left_out = {facts.name: left_out[facts.name] for facts in others if not _is_counter(inspection, facts)}
    if target.missing:
        for facts in others:
            if facts.missing > _SPARSE_SHARE * inspection.table.rows and facts.name not in left_out:
                left_out[facts.name] = f"{facts.missing} cells are missing, and rows with missing cells are dropped"
    inputs = tuple(facts for facts in others if facts.name not in left_out)
    if not inputs:
        reasons = "; ".join(f"{quoted(name)}: {why}" for name, why in list(left_out.items())[:5])
        raise DataError(
            f"{inspection.table.source}: no column is left to predict {quoted(inspection.target)} from"
            + (f" ({reasons})" if reasons else "")
        )
    missing, why_missing = _missing(inspection, inputs)
    width = sum(len(facts.words) or 1 for facts in inputs)
    return Proposal(
        task=task,
        why_task=why_task,
        inputs=inputs,
        left_out=tuple(left_out.items()),
        missing=missing,
        why_missing=why_missing,
        splits=_splits(inspection, task),
        is_log_scale=task == "regression" and is_for_log_scale(parse_numbers(inspection.table.cells[target.name])[0]),
        fit=plan_fit(inspection.table.rows, width, target.distinct if task == "classification" else 1),
    )


def _task(inspection: Inspection) -> tuple[Literal["classification", "regression"], str]:
    table, target = inspection.table, inspection.facts(inspection.target)
    if target.kind == "empty":
        raise table.problem(target.name, "the target is missing in every row")
    if target.distinct == 1:
        raise table.problem(target.name, "the target is the same in every row; there is nothing to learn")
    if target.flaw:
        raise table.problem(target.name, f"the target: {target.flaw}")
    if target.kind in ("words", "text") and has_decimal_commas(table.cells[target.name]):
        raise table.problem(target.name, "the target holds decimal commas; wanted numbers with a decimal point")
    if target.kind == "dates":
        raise table.problem(target.name, "the target holds dates; wanted numbers or the words of classes")
    filled = table.rows - target.missing
    if target.kind == "numbers":
        few = target.distinct == 2 or (target.distinct <= _MOST_CLASSES_OF_NUMBERS and target.distinct * 10 <= filled)
        if target.is_whole and few:
            return "classification", f"whole numbers, {target.distinct} different ones"
        return "regression", f"numbers, {target.distinct:,} different ones"
    if target.distinct == filled and filled > 2:
        raise table.problem(
            target.name, f"the target holds {filled} texts, each of them once; nothing repeats to learn"
        )
    return "classification", f"words, {target.distinct} different ones"


def _why_left_out(inspection: Inspection, facts: ColumnFacts) -> str:
    filled = inspection.table.rows - facts.missing
    all_different = facts.distinct == filled and filled > 1
    if facts.flaw:
        return facts.flaw
    if facts.kind == "empty":
        return "no cell holds a value"
    if facts.kind == "dates":
        return "dates; an input must be a number, e.g. the hour or the month"
    if _is_id(facts):
        return "an id by its name, different in every row" if all_different else "an id by its name, repeated"
    if _is_counter(inspection, facts):
        return "whole numbers, each once and in order: an id or a row number"
    if facts.kind in ("words", "text") and has_decimal_commas(inspection.table.cells[facts.name]):
        return "decimal commas; an input must be a number with a decimal point"
    if facts.kind == "text":
        return f"text, {facts.distinct:,} different ones; too many for categories"
    return ""


def _is_id(facts: ColumnFacts) -> bool:
    can_be = facts.is_whole or facts.kind in ("words", "text")
    return can_be and bool(_PLAIN_ID.search(facts.name) or _CAMEL_ID.search(facts.name))


def _is_counter(inspection: Inspection, facts: ColumnFacts) -> bool:
    return facts.is_whole and facts.is_ordered and not facts.flaw and facts.distinct == inspection.table.rows


def _missing(
    inspection: Inspection, inputs: tuple[ColumnFacts, ...]
) -> tuple[Literal["refuse", "median", "drop_rows"], str]:
    rows = inspection.table.rows
    target = inspection.facts(inspection.target)
    incomplete = np.zeros(rows, dtype=bool)
    for facts in inputs:
        if facts.missing:
            incomplete |= _gap(inspection, facts)
    count = int(incomplete.sum())
    if target.missing:
        count = int((incomplete | (class_words(inspection.table, target.name) == "")).sum())
        return (
            "drop_rows",
            f"the target is missing in {target.missing:,} of {rows:,} rows; target or inputs in {count:,}, all dropped",
        )
    if count == 0:
        return "refuse", "no cell is missing"
    of_rows = f"{count:,} of {rows:,} rows miss at least one input"
    if count <= _DROPPED_SHARE * rows:
        return "drop_rows", f'{of_rows}; few enough to drop ("median" would let the model answer such rows)'
    how = "numbers are imputed inside the model"
    if any(facts.words and facts.missing for facts in inputs):
        how += ', "" is a word of its own'
    return "median", f"{of_rows}; too many to drop: {how}"


def _gap(inspection: Inspection, facts: ColumnFacts) -> NDArray[np.bool_]:
    if facts.kind == "numbers":
        return np.isnan(parse_numbers(inspection.table.cells[facts.name])[0])
    return np.asarray(words(inspection.table, facts.name) == "", dtype=bool)


def _splits(inspection: Inspection, task: str) -> tuple[SplitChoice, ...]:
    others = [facts for facts in inspection.columns if facts.name != inspection.target and not facts.missing]
    choices = [
        SplitChoice("time", facts.name, "the rows are in order of this date: the past predicts what came later")
        for facts in others
        if facts.kind == "dates" and facts.is_ordered and facts.distinct >= _FEWEST_DATES
    ]
    choices += [
        SplitChoice("group", facts.name, f"{facts.distinct:,} ids repeat: rows of one id stay together")
        for facts in others
        if _is_id(facts) and 3 <= facts.distinct < inspection.table.rows
    ]
    if task == "classification":
        choices.append(SplitChoice("stratified", None, "every part holds each class in the same share"))
        why = f"random, because a class has fewer than the {SMALLEST_CLASS_ROWS} rows that a stratified split needs"
    elif choices:
        why = "random, because the rows of one date or id cannot be kept together here"
    else:
        why = "random: there is no column of plain dates in order and no column of ids that repeat"
    return (*choices, SplitChoice("random", None, why))
