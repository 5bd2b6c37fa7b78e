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
    """

    take_functions: str
    have_fewer_edges: str
    choose_by_edge: str
    go_on: str

    def to_take_functions(self, min_r2: float) -> str:
        """With the bound in its place."""
        return self.take_functions.replace("{min_r2}", f"{min_r2:g}")


FOR_RECIPES = Advice(
    take_functions="kan-train formula RUN --min-r2 {min_r2}",
    have_fewer_edges="`kan-train init --formula` writes a recipe for one of few",
    choose_by_edge='choice = "by-edge" may find one',
    go_on="continue with --resume",
)
FOR_ESTIMATORS = Advice(
    take_functions='fit with recipe={"symbolic": {"min_r2": {min_r2}}}',
    have_fewer_edges="fewer columns or nodes leave fewer",
    choose_by_edge='recipe={"symbolic": {"choice": "by-edge"}} may find one',
    go_on="fit again",
)
