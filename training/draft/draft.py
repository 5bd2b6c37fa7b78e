"""Write a commented recipe for a table."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from training.data.dataset import prepare_table
from training.data.split import Split, shortage
from training.draft.fit_plan import SHARES, SHARES_OF_CURVES, curve_lines, fit_lines
from training.draft.formula_plan import Choice, formula_choice, formula_lines
from training.draft.inspection import FEWEST_ROWS_OF_WORD, ColumnFacts, Inspection
from training.draft.proposal import Proposal, SplitChoice, propose
from training.errors import DataError, quoted
from training.recipe.config import parse_recipe
from training.recipe.toml_text import toml_string

_WORDS_SHOWN = 5
_FORMULA_COMMENT = ("# `kan-train init --formula` writes a recipe that ends in a formula.",)
# The most left-out columns that the terminal lists, and the most in doubt.
_MOST_TOLD = 10


def draft_recipe(
    inspection: Inspection, folder: Path, *, formula: bool = False, additive: bool = False, pairs: int = 0
) -> str:
    """Write a recipe that runs unchanged, with a comment on each choice.

    Args:
        inspection: The table and the column to predict.
        folder: The folder of the new recipe; the table's path in it is relative to this folder.
        formula: Whether the recipe ends in a formula.
        additive: Whether the model is a sum of curves, one a column.
        pairs: How many terms of two columns an additive model has beside them.

    Returns:
        TOML. It has been tried on the table: `prepare` accepts it.

    Raises:
        DataError: no recipe works for the table. The target is constant, missing, or a different text in every row; or
            there are too few rows; or there are no inputs.
    """
    proposal = propose(inspection)
    choice = formula_choice(proposal.task, count_features(proposal)) if formula else None
    refusal: DataError | None = None
    for split in proposal.splits:
        text = render(inspection, proposal, split, folder, formula=choice, additive=additive, pairs=pairs)
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


def columns_left_out(inspection: Inspection) -> list[str]:
    """One line for each column that the drafted recipe does not read, with the reason; at most ten columns."""
    return _tell("left out", propose(inspection).left_out)


def columns_in_doubt(inspection: Inspection) -> list[str]:
    """One line for each input that is nearly dates and is used as numbers or words; at most ten columns."""
    inputs = propose(inspection).inputs
    return _tell("in doubt", [(facts.name, f"used as {facts.kind}; {facts.doubt}") for facts in inputs if facts.doubt])


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
        formula: How the functions of the formula are chosen that the recipe ends in; None: it ends in splines.
        additive: Whether the model is a sum of curves.
        pairs: How many terms of two columns it has beside them.
    """
    table = inspection.table
    relative = Path(os.path.relpath(inspection.path, folder)).as_posix()
    what = "the classes" if proposal.task == "classification" else "the output"
    lines = [
        f"# Drafted by kan-train init from {_comment(table.source)}.",
        f"# The table: {table.rows:,} rows, {len(inspection.columns):,} columns.",
        "# It runs as it is; every choice below may be changed.",
        "",
        "[model]",
        f"name = {toml_string(_model_name(inspection.path))}",
        "",
        "[data]",
        f"path = {toml_string(relative)}  # relative to this file's folder",
        f"target = {toml_string(inspection.target)}  # {_describe(inspection.facts(inspection.target))}",
        "columns = [  # the inputs, in the order of the file",
        *(f"  {toml_string(facts.name)},  # {_describe(facts)}" for facts in proposal.inputs),
        "]",
        *_left_out_lines(inspection, proposal),
        f'missing = "indicator"  # {proposal.gaps}',
        *_unseen(proposal),
        *_by_target(proposal),
        "",
        *_categories(proposal),
        *_dates(proposal),
        "[task]",
        f"kind = {toml_string(proposal.task)}  # the target holds {proposal.why_task}",
        *(
            ['target_scale = "log"  # its numbers are positive and of very different sizes']
            * (proposal.is_log_scale and formula is None)
        ),
        "",
        "[split]",
        f"kind = {toml_string(split.kind)}  # {split.why}",
        *([f"column = {toml_string(split.column)}"] if split.column is not None else []),
        *(SHARES_OF_CURVES if additive else SHARES[formula is not None]),
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
    lines = [f"#   {_comment(name)}: {_comment_text(why)}" for name, why in proposal.left_out]
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
        f"{toml_string(facts.name)} = [{', '.join(map(toml_string, facts.own_words))}]{_describe_rare(facts)}"
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


def _describe_rare(facts: ColumnFacts) -> str:
    if not facts.rare:
        return ""
    shown = ", ".join(_comment(word) for word in facts.rare[:_WORDS_SHOWN])
    more = f" and {len(facts.rare) - _WORDS_SHOWN} more" if len(facts.rare) > _WORDS_SHOWN else ""
    return f"  # other: {shown}{more}, in fewer than {FEWEST_ROWS_OF_WORD} rows each"


def _describe(facts: ColumnFacts) -> str:
    if facts.kind == "numbers":
        what = f"{'whole numbers' if facts.is_whole else 'numbers'}, {facts.low:g} to {facts.high:g}"
        if facts.distinct == 1:
            what = f"always {facts.low:g}: useless, gets weight zero"
    elif facts.kind == "words":
        shown = ", ".join(_comment(word) for word in facts.words[:_WORDS_SHOWN])
        more = f" and {len(facts.words) - _WORDS_SHOWN} more" if len(facts.words) > _WORDS_SHOWN else ""
        what = f"words: {shown}{more}"
    else:
        what = f"{facts.kind}, {facts.distinct:,} different ones"
    missing = f"; {facts.missing:,} missing" if facts.missing else ""
    return what + missing + (f"; {_comment_text(facts.doubt)}" if facts.doubt else "")


def _model_name(path: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", path.stem).lstrip(".-")[:100]
    return name if name.strip("_") else "model"


def _comment(name: str) -> str:
    return quoted(name).replace("\x7f", "\\u007f")


def _comment_text(text: str) -> str:
    """The text without control characters, which a TOML comment must not contain."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
