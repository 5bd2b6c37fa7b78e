"""From a recipe with [search] to one recipe for each candidate, within the budget."""

import math
from dataclasses import dataclass

from training.recipe.config import Recipe
from training.recipe.fit_sections import CandidateSection
from training.search.rounds import Round, fits_of_members, plan_rounds

# The unit of [search] budget: so many edges, evaluated forward and backward.
UNIT = 1e9


@dataclass(frozen=True)
class Candidate:
    """One candidate.

    Attributes:
        recipe: The recipe with the candidate's keys.
        text: These keys, for people, such as "hidden = [16], weight_decay = 1".
        member_work: Edges that one member's fit evaluates.
    """

    recipe: Recipe
    text: str
    member_work: float


@dataclass(frozen=True)
class SearchPlan:
    """What a search does.

    Attributes:
        candidates: The candidates that the budget allows, in the order of the recipe.
        rounds: Which candidates fit which members in each round.
        work: At most so many edges are evaluated.
        notes: What the budget left out.
    """

    candidates: tuple[Candidate, ...]
    rounds: tuple[Round, ...]
    work: float
    notes: tuple[str, ...]


def plan_search(recipe: Recipe, rows: int, inputs: int, outputs: int, members: int) -> SearchPlan:
    """The candidates and rounds that the budget allows.

    If not all candidates fit into it, those at the end of the list are left out. If not even the first one does, it
    gets fewer epochs, one at least.

    Args:
        recipe: With [ensemble] and [search].
        rows: Number of rows that may train.
        inputs: Number of features.
        outputs: Number of outputs.
        members: Number of members.
    """
    assert recipe.search is not None
    budget = recipe.search.budget * UNIT
    every = [_candidate(recipe, section, rows, inputs, outputs) for section in recipe.search.candidates]
    notes: list[str] = []
    for count in range(len(every), 0, -1):
        rounds = plan_rounds(count, members)
        work = _work(every[:count], rounds)
        if work <= budget:
            if count < len(every):
                notes.append(f"search    the budget allows the first {count} of {len(every)} candidates")
            return SearchPlan(tuple(every[:count]), tuple(rounds), work, tuple(notes))
    first = every[0]
    share = budget / (members * first.member_work)
    steps = max(1, math.floor(first.recipe.fit.steps * share))
    notes.append(
        f"search    the budget allows the first of {len(every)} candidates, with {steps} of its "
        f"{first.recipe.fit.steps} steps"
    )
    fewer = recipe.search.candidates[0].model_copy(update={"steps": steps})
    cheap = _candidate(recipe, fewer, rows, inputs, outputs)
    rounds = plan_rounds(1, members)
    return SearchPlan((cheap,), tuple(rounds), _work([cheap], rounds), tuple(notes))


def _candidate(recipe: Recipe, section: CandidateSection, rows: int, inputs: int, outputs: int) -> Candidate:
    keys = section.model_dump(exclude_unset=True, exclude_none=True)
    network = recipe.network.model_copy(update={"hidden": keys.pop("hidden")} if "hidden" in keys else {})
    fit = recipe.fit.model_copy(update=keys)
    own = recipe.model_copy(update={"network": network, "fit": fit, "search": None})
    # An edge leads from a node of one level to a sum of the next; a node that multiplies has `arity` sums.
    pairs = [(level, 0) if isinstance(level, int) else level for level in network.hidden]
    reads = (inputs, *(sum(pair) for pair in pairs))
    sums = (*(plain + network.arity * products for plain, products in pairs), outputs)
    edges = sum(nodes * feeds for nodes, feeds in zip(reads, sums, strict=True))
    text = ", ".join(f"{key} = {_toml(value)}" for key, value in section.model_dump(exclude_unset=True).items())
    work = float(len(fit.grids) * fit.steps) * rows * edges * (2 if own.is_taught else 1)
    return Candidate(own, text or "the recipe's own keys", work)


def _work(candidates: list[Candidate], rounds: list[Round]) -> float:
    """The work if the candidates that cost most stay longest."""
    costs = sorted((candidate.member_work for candidate in candidates), reverse=True)
    return sum(cost * fits for cost, fits in zip(costs, fits_of_members(rounds), strict=True))


def _toml(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else f"{value:g}"
