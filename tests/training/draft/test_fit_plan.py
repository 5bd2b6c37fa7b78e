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
    assert len(set(plan.candidates)) == len(plan.candidates)


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
