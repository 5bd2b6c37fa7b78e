"""The sections of a recipe that ends in a formula."""

from typing import Literal

from training.draft.fit_plan import OUTSIDE_LINE

Choice = Literal["by-edge", "in-context"]

# With more inputs the shapes of a search in context have too many edges, and each costs a second and more.
_MOST_IN_CONTEXT = 8


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
            "[symbolic]",
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
