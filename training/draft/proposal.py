"""Choose task, inputs, split and sizes for a table, with the reason for each choice."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kan_api.dates import PARTS
from training.data.column import words
from training.data.split import SMALLEST_CLASS_ROWS, SMALLEST_TABLE_ROWS
from training.draft.column_choice import is_counter, is_id, why_left_out, why_unusable
from training.draft.date_cells import FEWEST_DATES
from training.draft.decimal_mark import describe_other_marks
from training.draft.fit_plan import FitPlan, plan_fit
from training.draft.inspection import ColumnFacts, Inspection
from training.draft.target_scale import is_for_log_scale
from training.errors import DataError, quoted

_MOST_CLASSES_OF_NUMBERS = 20


@dataclass(frozen=True)
class SplitChoice:
    """A kind of split, the column that it uses, and the reason."""

    kind: Literal["random", "stratified", "time", "group"]
    column: str | None
    why: str


@dataclass(frozen=True)
class Proposal:
    """Choices for a recipe. `splits` are in order of preference, because the first may not work on the table.

    `missing` is that of [data]; `gaps` says how many rows miss a cell, and what becomes of them.
    """

    task: Literal["classification", "regression"]
    why_task: str
    inputs: tuple[ColumnFacts, ...]
    left_out: tuple[tuple[str, str], ...]
    gaps: str
    splits: tuple[SplitChoice, ...]
    fit: FitPlan
    is_log_scale: bool
    missing: Literal["indicator", "drop_rows"] = "indicator"


def propose(inspection: Inspection) -> Proposal:
    """Choose task, inputs, treatment of missing cells, split and sizes.

    Raises:
        DataError: the target cannot be predicted, or no column is left as an input.
    """
    task, why_task = _task(inspection)
    others = [facts for facts in inspection.columns if facts.name != inspection.target]
    left_out = {facts.name: why for facts in others if (why := why_left_out(inspection, facts))}
    if len(left_out) == len(others):
        # A column that only looks like a counter is better than no input.
        left_out = {facts.name: left_out[facts.name] for facts in others if not is_counter(inspection, facts)}
    inputs = tuple(facts for facts in others if facts.name not in left_out)
    if not inputs:
        reasons = "; ".join(f"{quoted(name)}: {why}" for name, why in list(left_out.items())[:5])
        raise DataError(
            f"{inspection.table.source}: no column is left to predict {quoted(inspection.target)} from"
            + (f" ({reasons})" if reasons else "")
        )
    return _plan(inspection, task, why_task, inputs, left_out)


def propose_for(
    inspection: Inspection, task: Literal["classification", "regression"], inputs: tuple[str, ...]
) -> Proposal:
    """As :func:`propose`, where the person has chosen task and inputs.

    Raises:
        DataError: an input cannot be used, whoever chose it.
    """
    chosen = tuple(map(inspection.facts, inputs))
    for facts in chosen:
        if why := why_unusable(inspection, facts):
            raise inspection.table.problem(facts.name, why)
    return _plan(inspection, task, "what was asked for", chosen, {})


def _plan(
    inspection: Inspection,
    task: Literal["classification", "regression"],
    why_task: str,
    inputs: tuple[ColumnFacts, ...],
    left_out: dict[str, str],
) -> Proposal:
    target = inspection.facts(inspection.target)
    numbers_a_word = max(1, target.distinct - 1) if task == "classification" else 1
    width = sum(_count_features(facts, numbers_a_word) for facts in inputs)
    return Proposal(
        task=task,
        why_task=why_task,
        inputs=inputs,
        left_out=tuple(left_out.items()),
        gaps=describe_gaps(inspection, inputs),
        splits=_splits(inspection, task),
        is_log_scale=task == "regression" and is_for_log_scale(inspection.table.numbers(target.name)[0]),
        fit=plan_fit(inspection.table.rows, width, target.distinct if task == "classification" else 1),
    )


def _count_features(facts: ColumnFacts, numbers_a_word: int) -> int:
    if facts.kind == "dates":
        return len(PARTS)
    return numbers_a_word if facts.kind == "text" else max(1, len(facts.own_words))


def _task(inspection: Inspection) -> tuple[Literal["classification", "regression"], str]:
    table, target = inspection.table, inspection.facts(inspection.target)
    if target.kind == "empty":
        raise table.problem(target.name, "the target is missing in every row")
    if table.rows < SMALLEST_TABLE_ROWS:
        rows = "1 row" if table.rows == 1 else f"{table.rows} rows"
        raise DataError(f"{table.source}: {rows} to train on; wanted at least {SMALLEST_TABLE_ROWS}")
    if target.distinct == 1:
        raise table.problem(target.name, "the target is the same in every row; there is nothing to learn")
    # First, because the flaw of such a column would be that cells are no numbers, and the advice to empty them.
    if target.kind in ("words", "text") and (why := describe_other_marks(table, target.name)):
        raise table.problem(target.name, f"the target holds {why}")
    if target.flaw:
        raise table.problem(target.name, f"the target: {target.flaw}")
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


def describe_gaps(inspection: Inspection, inputs: tuple[ColumnFacts, ...]) -> str:
    """The comment on missing = "indicator", which costs no row that is served."""
    rows = inspection.table.rows
    if count := count_incomplete(inspection, inputs):
        text = f"{count:,} of {rows:,} rows miss an input: the model fills in the median and is told of the gap"
    else:
        text = "no cell is missing; if a row that is served lacks one, the model fills in the median"
    if any(facts.words and facts.missing for facts in inputs):
        text += ', "" is a word of its own'
    return text + describe_no_target(inspection)


def describe_no_target(inspection: Inspection) -> str:
    """The end of a comment on rows without a target; "" if there are none."""
    missing = inspection.facts(inspection.target).missing
    return f"; the {missing:,} rows without a target are dropped" if missing else ""


def count_incomplete(inspection: Inspection, inputs: tuple[ColumnFacts, ...]) -> int:
    """The number of rows that miss one of these inputs."""
    incomplete = np.zeros(inspection.table.rows, dtype=bool)
    for facts in inputs:
        if facts.missing:
            incomplete |= _gap(inspection, facts)
    return int(incomplete.sum())


def _gap(inspection: Inspection, facts: ColumnFacts) -> NDArray[np.bool_]:
    if facts.kind == "numbers":
        return np.isnan(inspection.table.numbers(facts.name)[0])
    return np.asarray(words(inspection.table, facts.name) == "", dtype=bool)


def _splits(inspection: Inspection, task: str) -> tuple[SplitChoice, ...]:
    others = [facts for facts in inspection.columns if facts.name != inspection.target and not facts.missing]
    choices = [
        SplitChoice("time", facts.name, "the rows are in order of this date: the past predicts what came later")
        for facts in others
        if facts.kind == "dates" and facts.is_ordered and facts.distinct >= FEWEST_DATES
    ]
    choices += [
        SplitChoice("group", facts.name, f"{facts.distinct:,} ids repeat: rows of one id stay together")
        for facts in others
        if is_id(facts) and facts.name not in inspection.table.nested and 3 <= facts.distinct < inspection.table.rows
    ]
    if task == "classification":
        choices.append(SplitChoice("stratified", None, "every part holds each class in the same share"))
        why = f"random, because a class has fewer than the {SMALLEST_CLASS_ROWS} rows that a stratified split needs"
    elif choices:
        why = "random, because the rows of one date or id cannot be kept together here"
    else:
        why = "random: there is no column of plain dates in order and no column of ids that repeat"
    return (*choices, SplitChoice("random", None, why))
