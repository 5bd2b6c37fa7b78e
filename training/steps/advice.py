"""What notes advise, in the words of their reader: keys and commands for a recipe, arguments for an estimator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """What a reader can do, each a part of a sentence.

    Attributes:
        take_functions: Takes the nearest function of each edge; ``{min_r2}`` is the bound that it needs.
        have_fewer_edges: Leads to a network of fewer edges.
        choose_by_edge: Chooses functions edge by edge, where nothing was found in context.
        go_on: Goes on where a step was refused, once its keys are changed.
        start_anew: Fits again where a fit was of no use.
        search_bound: Bounds the search in context; ``{budget}`` is how far.
        pass_verification: Mends a network whose graph is not exact enough.
        leave_functions_out: Goes before the functions that no graph computes closely enough.
    """

    take_functions: str
    have_fewer_edges: str
    choose_by_edge: str
    go_on: str
    start_anew: str
    search_bound: str
    pass_verification: str
    leave_functions_out: str

    def to_take_functions(self, min_r2: float) -> str:
        """With the bound in its place."""
        return self.take_functions.replace("{min_r2}", f"{min_r2:g}")

    def of_budget(self, budget: float) -> str:
        """What the search was bounded by."""
        return self.search_bound.replace("{budget}", f"{budget:g}")


FOR_RECIPES = Advice(
    take_functions="kan-train formula RUN --min-r2 {min_r2}",
    have_fewer_edges="`kan-train init --formula` writes a recipe for one of few",
    choose_by_edge='choice = "by-edge" may find one',
    go_on="continue with --resume",
    start_anew="then --fresh",
    search_bound="[symbolic] budget = {budget}",
    pass_verification=(
        "change [verify] tolerance and go on with --resume, or train with fewer intervals or scaled inputs"
    ),
    leave_functions_out="name [symbolic] functions without",
)
FOR_ESTIMATORS = Advice(
    take_functions='fit with recipe={"symbolic": {"min_r2": {min_r2}}}',
    have_fewer_edges="fewer columns or nodes leave fewer",
    choose_by_edge='recipe={"symbolic": {"choice": "by-edge"}} may find one',
    go_on="fit again",
    start_anew="then fit again",
    search_bound='recipe={"symbolic": {"budget": {budget}}}',
    pass_verification=(
        'fit with a larger tolerance, such as recipe={"verify": {"tolerance": 1e-4}}, or with fewer intervals in grids '
        "or scaled columns"
    ),
    leave_functions_out='fit with recipe={"symbolic": {"functions": [...]}} without',
)
