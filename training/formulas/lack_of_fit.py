"""Whether the rows speak against a formula: an F-test against the splines that it came from.

Under noise a few held-out rows cannot tell a Gaussian from 1/(1 + b²), from which it differs by a fortieth of the
deviation. All rows can: splines that are fitted to them have a lower sum of squares than chance explains.
"""

from scipy.stats import f as ratio_of_variances

from kan_model import KAN
from training.data.samples import Samples
from training.formulas.descent import descend, error
from training.formulas.local_search import Form
from training.formulas.shapes import EXACT, count_edges
from training.formulas.work import Work

# A true formula is taken for a false one this often. It costs time only: further shapes are searched.
_LEVEL = 0.01
_STEPS = 40


def speaks_against(form: Form, splines: KAN, rows: Samples, work: Work) -> bool:
    """Whether splines fit the rows better than a formula by more than their number of parameters explains.

    Args:
        form: The formula, fitted to these rows.
        splines: The network whose edges became its functions; it is fitted to the rows here.
        rows: In units in which the targets have the deviation 1.
        work: Counts the fit.

    Raises:
        WorkSpent: before the fit.
    """
    parameters, found = _count_parameters(splines), error(form.kan, rows)
    more, left = parameters - form.free_constants, len(rows.x) - parameters
    if found <= EXACT or more < 1 or left < 1:
        return False
    work.add(_STEPS, count_edges(splines))
    try:
        lowest = max(descend(splines, rows, _STEPS)[1], EXACT)
    except ValueError:  # A value is not finite.
        return False
    by_chance = float(ratio_of_variances.sf((found**2 - lowest**2) / more / (lowest**2 / left), more, left))
    return by_chance < _LEVEL


def _count_parameters(kan: KAN) -> int:
    """Of all splines. Some do the work of others: the test is a little on the formula's side."""
    return sum(int(layer.active_edges.sum()) * (layer.grid_size + layer.degree + 1) for layer in kan.layers)
