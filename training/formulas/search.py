"""The search for a formula: shapes, then functions, then exchanges, by one criterion."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from kan_model import KAN, prune
from kan_model.network.functions import FUNCTIONS
from kan_model.symbolic.one_constant import gather_constants
from training.data.samples import Samples
from training.formulas.descent import error
from training.formulas.in_context import choose_in_context
from training.formulas.local_search import Form, improve, make_form
from training.formulas.shapes import EXACT, Shape, count_edges, fit_shape, shape_text, shapes
from training.formulas.work import Work

# The common functions. Rare ones, such as x^1.5 or arccos, are close to these on most ranges, and each costs time.
# fmt: off
COMMON = (
    "x", "x^2", "x^3", "1/x", "1/x^2", "sqrt", "1/sqrt(x)", "exp", "log", "sin", "cos", "tanh", "arctanh", "gaussian",
)
# fmt: on
# The budget of one search without another given: see :class:`training.formulas.work.Work`.
BUDGET = 2e5
# Training rows of a search, and those that the constants of its formula are fitted to at the end.
_ROWS, _FIT_ROWS = 2_000, 10_000
# Networks with a larger error than so many times the lowest, and than this share of the deviation, are worth no search.
# Their splines are coarse: even without noise that of 1/x is beside it. Nor are networks with more edges. Of the others
# so many are searched, those with the fewest edges.
_WORTH, _WORTH_ALWAYS, _MOST_EDGES, _MOST_SEARCHED = 1.5, 0.02, 8, 4
# A formula is as good as the splines if its error on the validation rows is at most so many times theirs.
_AS_GOOD = 1.02
# Forms whose functions are exchanged.
_IMPROVED = 2
# Shares of the budget: for the shapes, and for these and the choice of functions. The rest is for exchanges.
_FOR_SHAPES, _FOR_FUNCTIONS = 0.4, 0.8


@dataclass(frozen=True)
class FormulaSearch:
    """What a search found.

    Attributes:
        kan: The network of functions, in float64.
        shape: Its width before edges were taken off.
        criterion: Lower is better.
        error: Root mean square error on the validation rows, as a share of the deviation of the targets.
        splines_error: The lowest error of the networks of splines.
        is_cut_short: Whether the budget of a search ran out.
        agreeing: How many of the searches found the same form: the same functions on as many edges.
        searches: How many searches from different seeds there were.
    """

    kan: KAN
    shape: Shape
    criterion: float
    error: float
    splines_error: float
    is_cut_short: bool = False
    agreeing: int = 1
    searches: int = 1


@dataclass(frozen=True)
class NoFormula:
    """Why a search found none.

    Attributes:
        reason: For people, with what may be changed.
        inputs: The inputs of the simplest network that fits, if it has too many edges; else empty.
    """

    reason: str
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Fitted:
    """A network of splines.

    Attributes:
        shape: Its width before edges were taken off.
        kan: The network.
        error: Its error on the validation rows.
        edges: How many it has.
    """

    shape: Shape
    kan: KAN
    error: float
    edges: int


def search_formula(
    train: Samples,
    validation: Samples,
    *,
    functions: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    budget: float = BUDGET,
    check: Callable[[], None] = lambda: None,
    on_message: Callable[[str], None] = lambda _: None,
) -> FormulaSearch | NoFormula:
    """The best formula that searches from several seeds find.

    Args:
        train: Rows in units in which the one target has the deviation 1. Its mean stays: without it a product is no
            product any more.
        validation: Rows that choose the splines and take off edges.
        functions: Names of the functions to try; None: the common ones.
        seeds: Of the searches; one at least.
        budget: The most work of one search, in edges times steps (:class:`training.formulas.work.Work`).
        check: Called often; it may raise to end the work.
        on_message: Is told of each search and of each shape in it.
    """
    some, judges = _thin(train, _ROWS), _thin(validation, _ROWS)
    results = []
    for number, seed in enumerate(seeds, 1):
        tell = partial(_tell, on_message, f"search {number} of {len(seeds)} (seed {seed})")
        work, start = Work(budget, check), time.monotonic()
        results.append(_search(some, judges, functions or COMMON, seed, work, tell))
        tell(f"took {time.monotonic() - start:.0f} s and {work.share:.0%} of its budget")
    found = [each for each in results if isinstance(each, FormulaSearch)]
    if not found:
        return next(each for each in results if isinstance(each, NoFormula))
    best = min(found, key=lambda each: each.criterion)
    fitted = _fit_to_more(best, train, judges, check)
    return replace(
        fitted,
        # An idle edge that was taken off is a constant, which may cancel that of another edge.
        kan=gather_constants(fitted.kan),
        is_cut_short=any(each.is_cut_short for each in found),
        agreeing=sum(_form(each.kan) == _form(best.kan) for each in found),
        searches=len(seeds),
    )


def _tell(on_message: Callable[[str], None], which: str, text: str) -> None:
    on_message(f"symbolic: {which} {text}")


def _fit_to_more(found: FormulaSearch, train: Samples, validation: Samples, check: Callable[[], None]) -> FormulaSearch:
    """With the constants fitted to more rows than the search had, if there are more."""
    if len(train.x) <= _ROWS:
        return found
    form = make_form(found.kan, _thin(train, _FIT_ROWS), Work(math.inf, check))
    return found if form is None else replace(found, kan=form.kan, error=error(form.kan, validation))


def _search(
    train: Samples,
    validation: Samples,
    functions: Sequence[str],
    seed: int,
    work: Work,
    tell: Callable[[str], None],
) -> FormulaSearch | NoFormula:
    fitted, every = [], shapes(train.x.shape[1])
    tell(f"fits networks of {len(every)} shapes")
    with work.up_to(_FOR_SHAPES):
        for shape in every:
            if (kan := fit_shape(shape, train, validation, seed, work)) is not None:
                # Not extend: what was fitted before the budget was spent is kept.
                fitted.append(_Fitted(shape, kan, error(kan, validation), count_edges(kan)))  # noqa: PERF401
    if not fitted:
        spent = "no network could be fitted within the budget; raise it" if work.is_spent else "every fit diverged"
        return NoFormula(spent)
    lowest = min(each.error for each in fitted)
    close = sorted((each for each in fitted if each.error <= _worth(lowest)), key=lambda each: each.edges)
    good = [each for each in close if each.edges <= _MOST_EDGES]
    forms: list[tuple[Form, Shape]] = []
    with work.up_to(_FOR_FUNCTIONS):
        for each in good[:_MOST_SEARCHED]:
            edges = "1 edge" if each.edges == 1 else f"{each.edges} edges"
            tell(f"chooses functions in shape {shape_text(each.shape)}, {edges}; {work.share:.0%} of its budget used")
            for kan in choose_in_context(each.kan, train, functions, work):
                is_whole = not any((layer.edge_mask != 0).any() for layer in kan.layers)
                if is_whole and (form := make_form(kan, train, work)) is not None:
                    forms.append((form, each.shape))
            if any(error(form.kan, validation) <= max(EXACT, _AS_GOOD * lowest) for form, _ in forms):
                break  # The other shapes have more edges.
    if not forms:
        return _explain(close, good, work)
    tell(f"exchanges functions; {work.share:.0%} of its budget used")
    better = [(improve(form, train, functions, work), shape) for form, shape in _different(forms)[:_IMPROVED]]
    form, shape = min(better, key=lambda each: each[0].criterion)
    kan = _without_idle_edges(form, train)
    return FormulaSearch(kan, shape, form.criterion, error(kan, validation), max(EXACT, lowest), work.is_spent)


def _different(forms: Sequence[tuple[Form, Shape]]) -> list[tuple[Form, Shape]]:
    """The best form of each kind, the best first: forms with the same functions mostly are the same formula."""
    best: dict[frozenset[tuple[str, int]], tuple[Form, Shape]] = {}
    for form, shape in sorted(forms, key=lambda each: each[0].criterion):
        best.setdefault(frozenset(_form(form.kan).items()), (form, shape))
    return list(best.values())


def _worth(lowest: float) -> float:
    """The largest error of a network that is worth a search, where the lowest error is known."""
    return max(_WORTH_ALWAYS, _WORTH * lowest)


def _explain(close: Sequence[_Fitted], good: Sequence[_Fitted], work: Work) -> NoFormula:
    """Why no network became functions."""
    if work.is_spent and good:
        return NoFormula("the budget was spent before all edges were functions; raise it")
    if good:
        return NoFormula("on some edge no function has an answer to every row; allow more functions")
    simplest = close[0]
    inputs = tuple(simplest.kan.layers[0].active_edges.any(dim=0).nonzero()[:, 0].tolist())
    reason = f"the simplest network that fits has {simplest.edges} edges, and at most {_MOST_EDGES} are searched"
    return NoFormula(reason, inputs)


def _thin(samples: Samples, most: int) -> Samples:
    """At most so many rows, evenly spaced."""
    count = len(samples.x)
    if count <= most:
        return samples
    return samples.take(torch.linspace(0, count - 1, most, dtype=torch.float64).round().long())


def _without_idle_edges(form: Form, train: Samples) -> KAN:
    """Without edges that nothing depends on."""
    return prune(form.kan, train.x, node_threshold=0.0, edge_threshold=1e-9, keep_inputs=True).kan


def _form(kan: KAN) -> Counter[str]:
    """The functions, without straight edges: they differ between equal formulas."""
    names = (name for layer in kan.layers for name in layer.symbolic_functions)
    return Counter(name for name in names if FUNCTIONS[name].name != "x")
