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
from training.formulas.lack_of_fit import speaks_against
from training.formulas.local_search import Form, find_rival, improve, make_form
from training.formulas.networks import Fitted, fit_networks, worth
from training.formulas.shapes import EXACT, Shape, shape_text, shapes
from training.formulas.work import Work

# The common functions. Rare ones, such as x^1.5 or arccos, are close to these on most ranges, and each costs time.
# fmt: off
COMMON = (
    "x", "x^2", "x^3", "1/x", "1/x^2", "sqrt", "1/sqrt(x)", "exp", "log", "sin", "cos", "tanh", "arctanh", "gaussian",
)
# fmt: on
# The budget of one search without another given: see :class:`training.formulas.work.Work`.
BUDGET = 2e5
# Rows of a search, and those that the constants of its formula are fitted to at the end.
_ROWS, _FIT_ROWS = 2_000, 10_000
# Networks with more edges are worth no search. Of the others so many are searched, those with the fewest constants.
_MOST_EDGES, _MOST_SEARCHED = 8, 4
# A formula is as good as the splines if its error on the validation rows is at most so many times theirs.
_AS_GOOD = 1.02
# Forms whose functions are exchanged.
_IMPROVED = 2
# Share of the budget for the shapes and the choice of functions. The rest is for exchanges.
_FOR_FUNCTIONS = 0.8


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
        forms: The best forms of a search, this one among them.
        rival: Another network of functions that the rows hardly tell from this one; None: there is none.
    """

    kan: KAN
    shape: Shape
    criterion: float
    error: float
    splines_error: float
    is_cut_short: bool = False
    agreeing: int = 1
    searches: int = 1
    forms: tuple[Form, ...] = ()
    rival: KAN | None = None


@dataclass(frozen=True)
class NoFormula:
    """Why a search found none.

    Attributes:
        reason: For people, with what may be changed.
        inputs: The inputs of the simplest network that fits, if it has too many edges; else empty.
    """

    reason: str
    inputs: tuple[int, ...] = ()


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
        validation: Rows that choose the splines and take off edges. Functions and constants are of both.
        functions: Names of the functions to try; None: the common ones.
        seeds: Of the searches; one at least.
        budget: The most work of one search, in edges times steps (:class:`training.formulas.work.Work`).
        check: Called often; it may raise to end the work.
        on_message: Is told of each search and of each shape in it.
    """
    some, judges = _thin(train, _ROWS), _thin(validation, _ROWS)
    # Splines need rows that they are not fitted to. Functions have a price for each constant instead.
    every = Samples(torch.cat([train.x, validation.x]), torch.cat([train.y, validation.y]))
    rows = _thin(every, _ROWS)
    results = []
    for number, seed in enumerate(seeds, 1):
        tell = partial(_tell, on_message, f"search {number} of {len(seeds)} (seed {seed})")
        work, start = Work(budget, check), time.monotonic()
        results.append(_search(some, judges, rows, functions or COMMON, seed, work, tell))
        tell(f"took {time.monotonic() - start:.0f} s and {work.share:.0%} of its budget")
    found = [each for each in results if isinstance(each, FormulaSearch)]
    if not found:
        return next(each for each in results if isinstance(each, NoFormula))
    best = min(found, key=_criterion)
    fitted = _fit_to_more(best, every, judges, check)
    form = min(best.forms, key=_criterion)
    rival = find_rival(form, [each for other in found for each in other.forms], rows)
    return replace(
        fitted,
        # An idle edge that was taken off is a constant, which may cancel that of another edge.
        kan=gather_constants(fitted.kan),
        is_cut_short=any(each.is_cut_short for each in found),
        agreeing=sum(_form(each.kan) == _form(best.kan) for each in found),
        searches=len(seeds),
        rival=None if rival is None else gather_constants(_without_idle_edges(rival, rows)),
    )


def _tell(on_message: Callable[[str], None], which: str, text: str) -> None:
    on_message(f"symbolic: {which} {text}")


def _fit_to_more(found: FormulaSearch, every: Samples, validation: Samples, check: Callable[[], None]) -> FormulaSearch:
    """With the constants fitted to more rows than the search had, if there are more."""
    if len(every.x) <= _ROWS:
        return found
    form = make_form(found.kan, _thin(every, _FIT_ROWS), Work(math.inf, check))
    return found if form is None else replace(found, kan=form.kan, error=error(form.kan, validation))


def _search(
    train: Samples,
    validation: Samples,
    rows: Samples,
    functions: Sequence[str],
    seed: int,
    work: Work,
    tell: Callable[[str], None],
) -> FormulaSearch | NoFormula:
    every = shapes(train.x.shape[1])
    tell(f"fits networks of {len(every)} shapes")
    fitted = fit_networks(every, train, validation, seed, work)
    if not fitted:
        spent = "no network could be fitted within the budget; raise it" if work.is_spent else "every fit diverged"
        return NoFormula(spent)
    lowest = min(each.error for each in fitted)
    close = sorted((each for each in fitted if each.error <= worth(lowest)), key=lambda each: each.price)
    good = [each for each in close if each.edges <= _MOST_EDGES]
    forms: list[tuple[Form, Shape]] = []
    with work.up_to(_FOR_FUNCTIONS):
        for each in good[:_MOST_SEARCHED]:
            edges = "1 edge" if each.edges == 1 else f"{each.edges} edges"
            tell(f"chooses functions in shape {shape_text(each.shape)}, {edges}; {work.share:.0%} of its budget used")
            own = list[Form]()
            for kan in choose_in_context(each.kan, rows, functions, work):
                is_whole = not any((layer.edge_mask != 0).any() for layer in kan.layers)
                if is_whole and (form := make_form(kan, rows, work)) is not None:
                    own.append(form)
            forms += [(form, each.shape) for form in own]
            as_good = [form for form in own if error(form.kan, validation) <= max(EXACT, _AS_GOOD * lowest)]
            if as_good and not speaks_against(min(as_good, key=_criterion), each.kan, rows, work):
                break  # The other shapes have more edges.
    if not forms:
        return _explain(close, good, work)
    tell(f"exchanges functions; {work.share:.0%} of its budget used")
    better = [(improve(form, rows, functions, work), shape) for form, shape in _different(forms)[:_IMPROVED]]
    form, shape = min(better, key=lambda each: each[0].criterion)
    kan = _without_idle_edges(form, rows)
    return FormulaSearch(
        kan,
        shape,
        form.criterion,
        error(kan, validation),
        max(EXACT, lowest),
        work.is_spent,
        forms=tuple(each for each, _ in better),
    )


def _criterion(found: Form | FormulaSearch) -> float:
    return found.criterion


def _different(forms: Sequence[tuple[Form, Shape]]) -> list[tuple[Form, Shape]]:
    """The best form of each kind, the best first: forms with the same functions mostly are the same formula."""
    best: dict[frozenset[tuple[str, int]], tuple[Form, Shape]] = {}
    for form, shape in sorted(forms, key=lambda each: each[0].criterion):
        best.setdefault(frozenset(_form(form.kan).items()), (form, shape))
    return list(best.values())


def _explain(close: Sequence[Fitted], good: Sequence[Fitted], work: Work) -> NoFormula:
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
