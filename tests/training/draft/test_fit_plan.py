"""The proposed fit: sizes that fit the rows, and candidates that differ."""

import tomllib

import pytest

from training.draft.fit_plan import fit_lines, plan_fit

SHAPES = [(10, 1, 1), (150, 4, 3), (1000, 8, 1), (5000, 300, 2), (60_000, 26, 26), (1_000_000, 2000, 1)]


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_sizes_fit_the_rows(rows: int, inputs: int, outputs: int) -> None:
    """A grid has fewer intervals than there are rows, and every candidate fits for some epochs, not for hours."""
    plan = plan_fit(rows, inputs, outputs)
    assert all(1 <= candidate.grid <= 0.65 * rows for candidate in plan.candidates)
    assert all(5 <= candidate.steps <= 1000 for candidate in plan.candidates)
    differ = {(each.hidden, each.steps, each.weight_decay, each.grid) for each in plan.candidates}
    assert len(differ) == len(plan.candidates)


@pytest.mark.parametrize(
    ("rows", "regression", "two_classes", "more_classes"),
    [
        (1250, (4, [(16,)]), (8, [(4,)]), (4, [(16,)])),
        (1251, (4, [(16,)]), (8, [(4,)]), (4, [(32,)])),
        (2500, (4, [(16,)]), (8, [(4,)]), (4, [(32,)])),
        (2501, (4, [(16, 8)]), (4, [(8, 4)]), (4, [(32,), (32, 16)])),
        (12_500, (4, [(16, 8)]), (4, [(8, 4)]), (4, [(32,), (32, 16)])),
        (12_501, (4, [(16, 8)]), (4, [(16, 8)]), (4, [(64,), (32, 32)])),
    ],
)
def test_networks_are_those_of_decision_10(
    rows: int, regression: object, two_classes: object, more_classes: object
) -> None:
    """Members and nodes on both sides of each of its numbers of rows; a second shape is that of the last candidate."""
    plans = [plan_fit(rows, 5, outputs) for outputs in (1, 2, 3)]
    shapes = [(plan.members, list(dict.fromkeys(each.hidden for each in plan.candidates))) for plan in plans]
    assert shapes == [regression, two_classes, more_classes]


@pytest.mark.parametrize(
    ("rows", "outputs", "grids"),
    [
        (799, 1, [6, 6, 6]),
        (800, 1, [6, 6, 6, 12]),
        (2500, 1, [6, 6, 6, 12]),
        (2501, 1, [6, 6, 12]),
        (2500, 2, [6, 6, 6]),
        (2501, 2, [6, 6, 6]),
        (2501, 3, [6, 6, 6, 6]),
    ],
)
def test_long_fits_of_larger_regressions_have_a_finer_grid(rows: int, outputs: int, grids: list[int]) -> None:
    """From 800 rows on beside the coarser one, for more than 2,500 in its place; classes have none."""
    assert [each.grid for each in plan_fit(rows, 5, outputs).candidates] == grids


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
def test_the_lines_are_the_plan(rows: int, inputs: int, outputs: int) -> None:
    """They are TOML with the same numbers."""
    plan = plan_fit(rows, inputs, outputs)
    document = tomllib.loads("\n".join(fit_lines(plan, "the output")))
    assert document["ensemble"]["members"] == plan.members
    assert document["ensemble"].get("hidden_grid", plan.hidden_grid) == plan.hidden_grid
    given = document["search"]["candidates"]
    assert [each["steps"] for each in given] == [candidate.steps for candidate in plan.candidates]
    nodes, usual = document["network"]["hidden"], document["fit"]["grids"]
    assert [each.get("hidden", nodes) for each in given] == [list(candidate.hidden) for candidate in plan.candidates]
    assert [each.get("grids", usual) for each in given] == [[candidate.grid] for candidate in plan.candidates]
