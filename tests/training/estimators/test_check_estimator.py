"""scikit-learn's own checks of an estimator."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from training import KANClassifier, KANRegressor

SMALL: dict[str, Any] = {
    "hidden": (4,),
    "grids": (3,),
    "steps": 15,
    "members": 2,
    "search": False,
    "batch_rows": 32,
    "learning_rate": 0.2,
}
# Each with its reason.
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "one row of weight 2 lies in one fold and is one row of a batch; two equal rows lie in two folds and two "
        "batches. A row of weight 0 takes no part in the loss, but still in folds, scaling and knots"
    ),
}


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [KANRegressor(**SMALL), KANClassifier(**SMALL)],
    expected_failed_checks=lambda _: EXPECTED_FAILURES,
    xfail_strict=True,
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    """All pass but those that are named, which do fail."""
    check(estimator)


# Of fewer steps, since a search fits several plans for each fit.
SEARCHED = {key: value for key, value in SMALL.items() if key not in ("search", "grids")} | {
    "steps": 10,
    "learning_rate": 0.05,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        KANRegressor(**SEARCHED),
        KANClassifier(**SEARCHED),
        KANRegressor(**(SMALL | {"members": 1})),
        KANRegressor(additive=True, pairs=1),
        KANClassifier(additive=True, pairs=1),
    ],
)
def test_they_hold_for_other_ways_to_fit(estimator: Any) -> None:
    """A search of plans, a single network, and curves with a pair."""
    found = check_estimator(estimator, expected_failed_checks=EXPECTED_FAILURES, on_skip=None, on_fail=None)
    failed = {each["check_name"]: each["exception"] for each in found if each["status"] == "failed"}
    assert failed == {}
