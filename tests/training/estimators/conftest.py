"""A table with words, gaps and dates, and parameters that fit it in a fraction of a second."""

from typing import Any

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """200 rows: age, height with gaps, town, a date; paid depends on the first three, kind is a word for it."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.uniform(18, 90, 200),
            "height": random.normal(170, 10, 200),
            "town": random.choice(["Bonn", "Ulm"], 200),
            "day": pd.date_range("2024-01-01", periods=200).astype(str)[random.permutation(200)],
        }
    )
    frame["paid"] = np.sin(frame["age"] / 12) * 5 + (frame["town"] == "Ulm") * 4 + (frame["height"] - 170) / 10
    frame["kind"] = np.where(frame["paid"] > 2, "much", "little")
    frame.loc[::7, "height"] = np.nan
    frame.loc[5, "town"] = None
    return frame


@pytest.fixture(scope="session")
def inputs(people: pd.DataFrame) -> pd.DataFrame:
    """The inputs of `people`."""
    return people[["age", "height", "town", "day"]]


@pytest.fixture(scope="session")
def quick() -> dict[str, Any]:
    """Parameters of a small fit."""
    return {
        "hidden": (4,),
        "grids": (3,),
        "steps": 60,
        "batch_rows": 32,
        "members": 2,
        "search": False,
        "learning_rate": 0.05,
        "weight_decay": 0.0,
    }
