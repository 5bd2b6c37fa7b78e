"""The search for a formula: shapes, then functions, then exchanges, by one criterion."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kan_model import KAN, prune
from kan_model.network.functions import FUNCTIONS
from training.data.samples import Samples
from training.formulas.in_context import choose_in_context
from training.formulas.local_search import Form, improve, make_form
from training.formulas.shapes import EXACT, Shape, count_edges, error, fit_shape, shapes

# The common functions. Rare ones, such as x^1.5 or arccos, are close to these on most ranges, and each costs time.
# fmt: off
COMMON = (
    "x", "x^2", "x^3", "1/x", "1/x^2", "sqrt", "1/sqrt(x)", "exp", "log", "sin", "cos", "tanh", "arctanh", "gaussian",
)
# fmt: on
# Networks with a larger error than so many times the lowest, and than this share of the deviation, are worth no search.
# Their splines are coarse: even without noise that of 1/x is beside it. Nor are networks with more edges. Of the others
# so many are searched, those with the fewest edges.
_WORTH, _WORTH_ALWAYS, _MOST_EDGES, _MOST_SEARCHED = 1.5, 0.02, 8, 4
# A formula is as good as the splines if its error on the validation rows is at most so many times theirs.
_AS_GOOD = 1.02
# Forms whose functions are exchanged.
_IMPROVED = 2


@dataclass(frozen=True)
class FormulaSearch:
    """What a search found.

    Attributes:
        kan: The network of functions, in float64.
        shape: Its width before edges were taken off.
        criterion: Lower is better.
        error: Root mean square error on the validation rows, as a share of the deviation of the targets.
        splines_error: The lowest error of the networks of splines.
        agreeing: How many of the searches found the same form: the same functions on as many edges.
        searches: How many searches from different seeds there were.
    """

    kan: KAN
    shape: Shape
    criterion: float
    error: float
    splines_error: float
    agreeing: int = 1
    searches: int = 1


def search_formula(
    train: Samples,
    validation: Samples,
    *,
    functions: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    check: Callable[[], None] = lambda: None,
    on_message: Callable[[str], None] = lambda _: None,
) -> FormulaSearch | None:
    """The best formula that searches from several seeds find; None if there is none.

    Args:
        train: Rows in units in which the one target has the deviation 1. Its mean stays: without it a product is no
            product any more.
        validation: Rows that choose the splines and take off edges.
        functions: Names of the functions to try; None: the common ones.
        seeds: Of the searches.
        check: Called often; it may raise to end the work.
        on_message: Is told of each shape.
    """
    found = [
        one
        for seed in seeds
        if (one := _search(train, validation, functions or COMMON, seed, check, on_message)) is not None
    ]
    if not found:
        return None
    best = min(found, key=lambda each: each.criterion)
    agreeing = sum(_form(each.kan) == _form(best.kan) for each in found)
    return FormulaSearch(
        best.kan, best.shape, best.criterion, best.error, best.splines_error, agreeing, searches=len(seeds)
    )


def _search(
    train: Samples,
    validation: Samples,
    functions: Sequence[str],
    seed: int,
    check: Callable[[], None],
    on_message: Callable[[str], None],
) -> FormulaSearch | None:
    fitted = [
        (shape, kan, error(kan, validation))
        for shape in shapes(train.x.shape[1])
        if (kan := fit_shape(shape, train, validation, seed, check)) is not None
    ]
    if not fitted:
        return None
    lowest = min(each for _, _, each in fitted)
    worth = max(_WORTH_ALWAYS, _WORTH * lowest)
    good = [each for each in fitted if each[2] <= worth and count_edges(each[1]) <= _MOST_EDGES]
    good.sort(key=lambda each: count_edges(each[1]))
    forms: list[tuple[Form, Shape]] = []
    for shape, kan, _ in good[:_MOST_SEARCHED]:
        on_message(f"symbolic: seed {seed}, shape {list(shape)}, {count_edges(kan)} edges, functions in context")
        chosen = choose_in_context(kan, train, functions, check)
        whole = [each for each in chosen if not any((layer.edge_mask != 0).any() for layer in each.layers)]
        forms += [(form, shape) for each in whole if (form := make_form(each, train, check)) is not None]
        if any(error(form.kan, validation) <= max(EXACT, _AS_GOOD * lowest) for form, _ in forms):
            break  # The other shapes have more edges.
    forms.sort(key=lambda each: each[0].criterion)
    better = [(improve(form, train, functions, check), shape) for form, shape in forms[:_IMPROVED]]
    if not better:
        return None
    form, shape = min(better, key=lambda each: each[0].criterion)
    kan = _without_idle_edges(form, train)
    return FormulaSearch(kan, shape, form.criterion, error(kan, validation), max(EXACT, lowest))


def _without_idle_edges(form: Form, train: Samples) -> KAN:
    """Without edges that nothing depends on."""
    return prune(form.kan, train.x, node_threshold=0.0, edge_threshold=1e-9, keep_inputs=True).kan


def _form(kan: KAN) -> Counter[str]:
    """The functions, without straight edges: they differ between equal formulas."""
    names = (name for layer in kan.layers for name in layer.symbolic_functions)
    return Counter(name for name in names if FUNCTIONS[name].name != "x")
