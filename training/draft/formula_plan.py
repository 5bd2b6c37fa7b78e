"""The sections of a recipe that ends in a formula."""

from dataclasses import replace
from typing import Literal

from training.data.split import SMALLEST_TABLE_ROWS
from training.draft.fit_plan import OUTSIDE_LINE
from training.draft.inspection import Inspection
from training.draft.proposal import Proposal, count_incomplete, describe_gaps, describe_no_target

Choice = Literal["by-edge", "in-context"]

# With more inputs the shapes of a search in context have too many edges, and each costs a second and more.
_MOST_IN_CONTEXT = 8


def for_formula(inspection: Inspection, proposal: Proposal) -> Proposal:
    """The same proposal for a recipe that ends in a formula: of numbers and dates alone, if there are any.

    A column of words would be an input for each word, and one of gaps an indicator of them: each makes the search
    longer, and neither belongs in a law. A cell that is filled in lies beside the law, so rows with a gap are dropped,
    unless they are more than half.

    Args:
        inspection: The table.
        proposal: For this table.
    """
    inputs = tuple(facts for facts in proposal.inputs if facts.kind not in ("words", "text"))
    if not inputs:
        return proposal
    words = [facts for facts in proposal.inputs if facts not in inputs]
    reasons = ((facts.name, facts.doubt or "words, and a formula is of numbers") for facts in words)
    left_out = (*proposal.left_out, *reasons)
    rows, incomplete = inspection.table.rows, count_incomplete(inspection, inputs)
    missing, gaps = proposal.missing, describe_gaps(inspection, inputs)
    if incomplete and 2 * incomplete <= rows and rows - incomplete >= SMALLEST_TABLE_ROWS:
        missing = "drop_rows"
        gaps = f"{incomplete:,} of {rows:,} rows miss an input and are dropped; a row that is served must have all"
        gaps += describe_no_target(inspection)
    elif incomplete:
        gaps += "; a formula wants a table without gaps"
    return replace(proposal, inputs=inputs, left_out=left_out, missing=missing, gaps=gaps)


def formula_choice(task: str, inputs: int) -> Choice:
    """How the functions of a formula are chosen.

    Args:
        task: "regression" or "classification".
        inputs: Features of the network.
    """
    return "in-context" if task == "regression" and inputs <= _MOST_IN_CONTEXT else "by-edge"


def formula_lines(choice: Choice) -> list[str]:
    """The sections from [inputs] to [symbolic] as TOML."""
    if choice == "in-context":
        return [
            "[inputs]",
            'scaling = "none"  # a shift of 0 is one in the units of the table',
            "",
            "[network]",
            "hidden = [3]  # the network beside the formula, which is searched in shapes of its own",
            "degree = 3",
            OUTSIDE_LINE,
            'dtype = "float64"',
            "",
            "[fit]",
            'optimizer = "levenberg-marquardt"',
            "grids = [3, 6]",
            "steps = 60",
            "seed = 0",
            "",
            "[symbolic]  # half a minute of a processor a search for two columns, minutes for eight: in all, with 5",
            "# searches, two to three minutes, or a quarter of an hour and more",
            'choice = "in-context"  # functions are chosen by the loss of the whole network, in several small shapes',
            "seeds = 5  # searches; the summary says how many of them found the same form",
            "max_loss_increase = 0.05  # a formula that is worse by more is told, and the network is served",
        ]
    return [
        "[inputs]",
        'scaling = "minmax"',
        "",
        "[network]",
        "hidden = [2]  # few nodes: a formula that can be read",
        "degree = 3",
        OUTSIDE_LINE,
        'dtype = "float64"',
        "",
        "[fit]",
        'optimizer = "lbfgs"',
        "grids = [3, 6]",
        "steps = 100",
        "seed = 0",
        "",
        "[sparsify]  # makes weak edges small",
        "",
        "[prune]  # takes them off",
        "",
        "[symbolic]  # each edge becomes the simplest function that fits it",
        "min_r2 = 0.95",
        "max_loss_increase = 0.1  # a formula that is worse by more is told, and the network is served",
    ]
