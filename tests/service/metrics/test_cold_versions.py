"""The series of versions that are not in memory: kan_model_ready alone, without a gap, and the rest for a while."""

import pytest

from service.metrics.metrics import Metrics


def _ready(metrics: Metrics, model: str) -> float | None:
    value: float | None = metrics.registry.get_sample_value("kan_model_ready", {"model": model, "version": "1"})
    return value


def _cool(metrics: Metrics, model: str, owner: object) -> None:
    """Let a version go that answered by its owner."""
    metrics.model_cold(model, 1)
    metrics.model_retired(model, 1, owner=owner)


@pytest.mark.parametrize("is_loaded", [True, False])
def test_a_scrape_during_a_change_shows_the_version(*, is_loaded: bool) -> None:
    """It is let go, or loaded, while a scrape reads. A scrape without it would alert people that the model is gone."""
    metrics, owner = Metrics(), object()
    metrics.model_cold("affine", 1)
    if is_loaded:
        metrics.model_ready("affine", 1, ready=True, owner=owner)
    scrape = metrics.collect()
    families = [next(scrape)]
    if is_loaded:
        _cool(metrics, "affine", owner)
    else:
        metrics.model_ready("affine", 1, ready=True, owner=owner)
    families += scrape
    samples = [sample for family in families for sample in family.samples if sample.name == "kan_model_ready"]
    assert [(sample.labels, sample.value) for sample in samples] == [({"model": "affine", "version": "1"}, 1)]


def test_a_version_that_is_loaded_again_keeps_its_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are let go during its load. The counts that its model has taken are those that are shown."""
    monkeypatch.setattr("service.metrics.metrics._MOST_COLD_KEPT", 1)
    metrics, owner = Metrics(), object()
    metrics.model_ready("affine", 1, ready=True, owner=owner)
    _cool(metrics, "affine", owner)
    counts = metrics.model("affine", "1")  # a load begins
    for name in ("other", "another"):
        metrics.model_ready(name, 1, ready=True, owner=owner)
        _cool(metrics, name, owner)
    metrics.model_ready("affine", 1, ready=True, owner=counts)
    assert metrics.model("affine", "1") is counts


def test_of_the_cold_versions_only_the_last_keep_their_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them count as ready. One that was loaded again and let go again counts as the last."""
    monkeypatch.setattr("service.metrics.metrics._MOST_COLD_KEPT", 2)
    metrics = Metrics()
    for name in "abcab":
        owner = object()
        metrics.model(name, "1").limits(batch_rows=64, queue_rows=8192)
        metrics.model_ready(name, 1, ready=True, owner=owner)
        _cool(metrics, name, owner)
    limits = [
        metrics.registry.get_sample_value("kan_batch_limit_rows", {"model": name, "version": "1"}) for name in "abc"
    ]
    assert limits == [64, 64, None]
    assert [_ready(metrics, name) for name in "abc"] == [1, 1, 1]
