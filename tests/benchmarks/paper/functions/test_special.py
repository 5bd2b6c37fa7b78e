"""The special functions of table 1 are what their names say, compared with elementary closed forms."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.paper.functions.special import SPECIALS, Special

# The first variable where an elementary form exists (None: anywhere), and that form.

KNOWN: dict[str, tuple[int, float | None, Callable[[Tensor, Tensor], Tensor]]] = {
    "ellipj (sn)": (1, 0.0, lambda u, _: torch.sin(u)),
    "ellipkinc": (1, 0.0, lambda phi, _: phi),
    "ellipeinc": (1, 0.0, lambda phi, _: phi),
    "jv": (0, 0.5, lambda _, x: torch.sqrt(2 / (math.pi * x)) * torch.sin(x)),
    "yv": (0, 0.5, lambda _, x: -torch.sqrt(2 / (math.pi * x)) * torch.cos(x)),
    "kv": (0, 0.5, lambda _, x: torch.sqrt(math.pi / (2 * x)) * torch.exp(-x)),
    "iv": (0, 0.5, lambda _, x: torch.sqrt(2 / (math.pi * x)) * torch.sinh(x)),
    "lpmv, m = 0": (0, 1.0, lambda _, x: x),
    "lpmv, m = 1": (0, 1.0, lambda _, x: -torch.sqrt(1 - x**2)),
    "lpmv, m = 2": (0, 2.0, lambda _, x: 3 * (1 - x**2)),
    "sph_harm (0, 1)": (0, None, lambda t, _: math.sqrt(3 / (4 * math.pi)) * torch.cos(t)),
    "sph_harm (1, 1)": (0, None, lambda t, p: -math.sqrt(3 / (8 * math.pi)) * torch.sin(t) * torch.cos(p)),
    "sph_harm (0, 2)": (0, None, lambda t, _: math.sqrt(5 / (16 * math.pi)) * (3 * torch.cos(t) ** 2 - 1)),
    "sph_harm (1, 2)": (
        0,
        None,
        lambda t, p: -math.sqrt(15 / (8 * math.pi)) * torch.sin(t) * torch.cos(t) * torch.cos(p),
    ),
    "sph_harm (2, 2)": (0, None, lambda t, p: math.sqrt(15 / (32 * math.pi)) * torch.sin(t) ** 2 * torch.cos(2 * p)),
}


@pytest.mark.parametrize("special", SPECIALS, ids=lambda special: special.target.name)
def test_a_function_has_its_elementary_form(special: Special) -> None:
    """Where one of its variables makes it elementary."""
    place, fixed, form = KNOWN[special.target.name]
    low, high = torch.tensor(special.target.ranges, dtype=torch.float64).T
    variables = low + (high - low) * torch.rand(50, 2, generator=torch.Generator().manual_seed(0)).double()
    # A Bessel function of the first kind with a half order is 0/0 in its elementary form at 0.
    variables = variables.clamp(min=low + 1e-6)
    if fixed is not None:
        variables[:, place] = fixed
    first, second = variables.split(1, dim=1)
    assert torch.allclose(special.target.function(first, second), form(first, second), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("special", SPECIALS, ids=lambda special: special.target.name)
def test_a_function_is_finite_on_its_ranges(special: Special) -> None:
    """The ends too."""
    shares = torch.linspace(-1, 1, 41, dtype=torch.float64)
    values = special.target.values(torch.cartesian_prod(shares, shares))
    assert values.shape == (41 * 41, 1)
    assert torch.isfinite(values).all()


def test_there_are_fifteen() -> None:
    """Each once, in a shape of two inputs and one output."""
    assert len({each.target.name for each in SPECIALS}) == len(SPECIALS) == len(KNOWN) == 15
    assert all(each.width[0] == 2 and each.width[-1] == 1 for each in SPECIALS)
