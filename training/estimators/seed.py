"""scikit-learn's random_state as the seed of a recipe."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from training.estimators.rows import naming


def seed_of(random_state: Any) -> Any:
    """The seed: a number as it is, the next one of a RandomState, None for None.

    Raises:
        ValueError: it is no seed, in scikit-learn's words.
    """
    with naming("random_state"):
        generator = check_random_state(random_state)
    return generator.randint(2**31 - 1) if isinstance(random_state, np.random.RandomState) else random_state
