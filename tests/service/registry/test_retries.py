"""When refused versions are looked at again."""

from pathlib import Path

import pytest

from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import loaded_registry, ready_versions
from tests.kit.waiting import run_test

_MANIFEST = "manifest.json"


@pytest.mark.parametrize(("refused", "is_found"), [(1, True), (4, True), (5, False)])
def test_a_late_repair_is_found_at_the_next_scan(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch, refused: int, is_found: bool
) -> None:
    """Long after the refusal, where few versions are refused. Of many each is looked at seldom."""
    monkeypatch.setattr("service.registry.refusal._YOUNG_SECONDS", -1.0)
    monkeypatch.setattr("service.registry.refusal._REST_SECONDS", 1e6)
    folders = [write_model("affine", name=f"model{number}") for number in range(refused)]
    texts = [(folder / _MANIFEST).read_text() for folder in folders]
    for folder in folders:
        (folder / _MANIFEST).write_text("{")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            assert ready_versions(registry) == []
            (folders[0] / _MANIFEST).write_text(texts[0])
            await registry.refresh()
            assert ready_versions(registry) == (["model0/1"] if is_found else [])

    run_test(test())
