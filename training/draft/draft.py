"""Write a commented recipe for a table."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from training.data.dataset import prepare_table
from training.data.split import Split, shortage
from training.draft.comments import comment, comment_text, describe, describe_rare
from training.draft.fit_plan import curve_lines, fit_lines
from training.draft.formula_plan import Choice, for_formula, formula_choice, formula_lines
from training.draft.inspection import Inspection
from training.draft.proposal import Proposal, SplitChoice, propose
from training.errors import DataError, quoted
from training.recipe.config import parse_recipe
from training.recipe.toml_text import toml_string

_GROUND_COMMENT = (
    '# unknown_ground = "flag"  # answers tell of rows that no training row resembles; "refuse" refuses them'
)
_GROUND_OF_LOGARITHMS = (
    "# Far outside of the training rows an answer may be very large, since it is exp of a sum.",
    'unknown_ground = "flag"  # answers tell of rows that no training row resembles; "refuse" refuses them',
)
_FORMULA_COMMENT = ("# `kan-train init --formula` writes a recipe that ends in a formula.",)
# Lines of [split]: of a recipe for a fit and its refit, and of one that ends in a formula.
_SHARES = (
    (
        "validation = 0.15  # these rows train too; only [prune] and [symbolic], not used here, are judged by them",
        "test = 0.2  # share of the rows that test the fit, before the refit takes them too",
    ),
    (
        "validation = 0.15  # share of the rows that choose the networks",
        "test = 0.2  # share of the rows that judge the formula",
    ),
)
_SHARES_OF_CURVES = (
    "validation = 0.15  # the curves are fitted to these rows too; only [symbolic], not used here, is judged by them",
    "test = 0.2  # share of the rows that judge the curves",
)
# The most left-out columns that the terminal lists, and the most in doubt.
_MOST_TOLD = 10


def draft_recipe(
    inspection: Inspection,
    folder: Path,
    *,
    name: str = "",
    formula: bool = False,
    additive: bool = False,
    pairs: int = 0,
) -> str:
    """Write a recipe that runs unchanged, with a comment on each choice.

    Args:
        inspection: The table and the column to predict.
        folder: The folder of the new recipe; the table's path in it is relative to this folder.
        name: What the model is named after, such as the stem of the recipe's file; "": the stem of the table's.
        formula: Whether the recipe ends in a formula.
        additive: Whether the model is a sum of curves, one a column.
        pairs: The most terms of two columns that an additive model has beside them.

    Returns:
        TOML. It has been tried on the table: `prepare` accepts it.

    Raises:
        DataError: no recipe works for the table. The target is constant, missing, or a different text in every row; or
            there are too few rows; or there are no inputs.
    """
    proposal = _propose(inspection, formula=formula)
    choice = formula_choice(proposal.task, count_features(proposal)) if formula else None
    refusal: DataError | None = None
    for split in proposal.splits:
        text = render(inspection, proposal, split, folder, name=name, formula=choice, additive=additive, pairs=pairs)
        recipe = parse_recipe(text, folder=folder, name="the drafted recipe")
        try:
            dataset = prepare_table(recipe, inspection.table, recipe.data.columns, recipe.data.target)
        except DataError as error:
            refusal = error
            continue
        parts = Split(dataset.train, dataset.validation, dataset.test)
        # With few different times a part may get a tenth of its rows; a random split is then the better proposal.
        if split.kind != "time" or not shortage(recipe.split, parts):
            return text
    assert refusal is not None, "a proposal has at least one split"
    raise refusal


def columns_left_out(inspection: Inspection, *, formula: bool = False) -> list[str]:
    """One line for each column that the drafted recipe does not read, with the reason; at most ten columns."""
    return _tell("left out", _propose(inspection, formula=formula).left_out)


def columns_in_doubt(inspection: Inspection, *, formula: bool = False) -> list[str]:
    """One line for the target, and each input, that but for some cells is dates or numbers; at most ten.

    A target of texts with fewer than two rows each is in doubt too: mostly it is a number with a unit in its cells.
    """
    target, inputs = inspection.facts(inspection.target), _propose(inspection, formula=formula).inputs
    doubts = [(each.name, f"used as {each.kind}; {each.doubt}") for each in (target, *inputs) if each.doubt]
    filled = inspection.table.rows - target.missing
    if not target.doubt and target.kind == "text" and target.distinct * 2 > filled:
        why = f"each of its {target.distinct:,} different texts in {filled:,} rows is a class; for a number"
        doubts.insert(0, (target.name, f"{why} write the cells without units or other text"))
    return _tell("in doubt", doubts)


def _propose(inspection: Inspection, *, formula: bool) -> Proposal:
    proposal = propose(inspection)
    return for_formula(inspection, proposal) if formula else proposal


def _tell(what: str, columns: Sequence[tuple[str, str]]) -> list[str]:
    lines = [f"{what}: {quoted(name)}: {why}" for name, why in columns[:_MOST_TOLD]]
    more = len(columns) - _MOST_TOLD
    return lines + ([f"{what}: {more:,} more, each with its reason in the recipe"] if more > 0 else [])


def render(
    inspection: Inspection,
    proposal: Proposal,
    split: SplitChoice,
    folder: Path,
    *,
    name: str = "",
    formula: Choice | None = None,
    additive: bool = False,
    pairs: int = 0,
) -> str:
    """A proposal with one of its splits as a recipe, which was not tried on the table.

    Args:
        inspection: The table.
        proposal: For this table.
        split: The split.
        folder: As for :func:`draft_recipe`.
        name: Likewise.
        formula: How the functions of the formula are chosen that the recipe ends in; None: it ends in splines.
        additive: Whether the model is a sum of curves.
        pairs: The most terms of two columns that it has beside them.
    """
    table = inspection.table
    relative = Path(os.path.relpath(inspection.path, folder)).as_posix()
    is_log = proposal.is_log_scale and formula is None
    what = "the classes" if proposal.task == "classification" else "the output"
    lines = [
        f"# Drafted by kan-train init from {comment(table.source)}.",
        f"# The table: {table.rows:,} rows, {len(inspection.columns):,} columns.",
        "# It runs as it is; every choice below may be changed.",
        "",
        "[model]",
        f"name = {toml_string(_model_name(name or inspection.path.stem))}",
        *(_GROUND_OF_LOGARITHMS if is_log and not additive else (_GROUND_COMMENT,)),
        "",
        "[data]",
        f"path = {toml_string(relative)}  # relative to this file's folder",
        f"target = {toml_string(inspection.target)}  # {describe(inspection.facts(inspection.target))}",
        *(['decimal = ","  # numbers are written like 3,14'] * (table.decimal == ",")),
        "columns = [  # the inputs, in the order of the file",
        *(f"  {toml_string(facts.name)},  # {describe(facts)}" for facts in proposal.inputs),
        "]",
        *_left_out_lines(inspection, proposal),
        f"missing = {toml_string(proposal.missing)}  # {proposal.gaps}",
        *_unseen(proposal),
        *_by_target(proposal),
        "",
        *_categories(proposal),
        *_dates(proposal),
        "[task]",
        f"kind = {toml_string(proposal.task)}  # the target holds {proposal.why_task}",
        *(['target_scale = "log"  # its numbers are positive and of very different sizes'] * is_log),
        "",
        "[split]",
        f"kind = {toml_string(split.kind)}  # {split.why}",
        *([f"column = {toml_string(split.column)}"] if split.column is not None else []),
        *(_SHARES_OF_CURVES if additive else _SHARES[formula is not None]),
        *(["seed = 0"] if split.kind != "time" else []),
        "",
        *(
            formula_lines(formula)
            if formula is not None
            else [
                "[inputs]",
                'scaling = "minmax"',
                "",
                *(curve_lines(pairs) if additive else fit_lines(proposal.fit, what)),
            ]
        ),
        "",
        "[baseline]  # models to compare with at the end; they are not published",
        'kinds = ["trivial", "linear", "boosted"]',
        "",
        *([] if formula is not None else _FORMULA_COMMENT),
    ]
    return "\n".join(lines) + "\n"


def count_features(proposal: Proposal) -> int:
    """The inputs of the network: of a column of words one for each word, of a date three."""
    return sum(len(each.own_words) if each.words else 3 if each.kind == "dates" else 1 for each in proposal.inputs)


def _left_out_lines(inspection: Inspection, proposal: Proposal) -> list[str]:
    lines = [f"#   {comment(name)}: {comment_text(why)}" for name, why in proposal.left_out]
    if inspection.table.unnamed_columns:
        lines.append(f"#   {inspection.table.unnamed_columns} without a name (a row number, mostly)")
    return ["# Left out:", *lines] if lines else []


def _unseen(proposal: Proposal) -> list[str]:
    if not any(facts.words for facts in proposal.inputs):
        return []
    return ['unseen = "other"  # a word that is none of those below is answered as "other", not refused']


def _by_target(proposal: Proposal) -> list[str]:
    names = [toml_string(facts.name) for facts in proposal.inputs if facts.kind == "text"]
    if not names:
        return []
    return [f"by_target = [{', '.join(names)}]  # many words: each enters as the mean of the target over its rows"]


def _categories(proposal: Proposal) -> list[str]:
    lines = [
        f"{toml_string(facts.name)} = [{', '.join(map(toml_string, facts.own_words))}]{describe_rare(facts)}"
        for facts in proposal.inputs
        if facts.words
    ]
    if not lines:
        return []
    return ["[data.categories]  # columns of words: one 0/1 input for each word", *lines, ""]


def _dates(proposal: Proposal) -> list[str]:
    lines = [
        f"{toml_string(facts.name)} = {toml_string(facts.date_form)}"
        for facts in proposal.inputs
        if facts.kind == "dates"
    ]
    if not lines:
        return []
    return ["[data.dates]  # three inputs each: days since the first day, month, weekday", *lines, ""]


def _model_name(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip(".-")[:100]
    return name if name.strip("_") else "model"
