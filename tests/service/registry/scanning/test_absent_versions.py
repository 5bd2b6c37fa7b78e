"""Versions that the settings select by number and that are not in the repository: told once until it changes."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from service.errors import ModelNotFound
from service.metrics.metrics import Metrics
from service.registry.registry import Registry
from service.settings import Settings
from service.settings.model_table import ModelTable
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import loaded_registry, ready_versions
from tests.kit.waiting import run_test

_ABSENT = "model flats: version 99, which the settings select, is not in the repository; there is 1, 4"


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def _refusal(registry: Registry, name: str) -> str:
    with pytest.raises(ModelNotFound) as caught, registry.lease(name):
        pass
    return str(caught.value)


@pytest.mark.parametrize(
    "selecting", [{"versions": "latest,flats=99"}, {"tables": {"flats": ModelTable(versions="99")}}]
)
def test_a_model_whose_selected_version_is_absent_is_told_once_and_callers_learn_why(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture, selecting: dict[str, Any]
) -> None:
    """The log names what is there. Other models answer, and a name that is nowhere is unknown as before."""
    for version in (1, 4):
        write_model("affine", version, name="flats")
    write_model("affine", 1, name="houses")

    async def test() -> None:
        async with loaded_registry(Settings(models=models, **selecting)) as registry:
            assert _warnings(caplog) == [f"{_ABSENT}; the model does not answer"]
            for _ in range(3):
                await registry.refresh()
            assert len(_warnings(caplog)) == 1
            assert ready_versions(registry) == ["houses/1"]
            why = "the server's settings select version 99; the repository has 1, 4"
            assert _refusal(registry, "flats") == f"model 'flats' does not answer: {why}"
            assert _refusal(registry, "flatz") == "model 'flatz' is unknown; there is houses"
            write_model("affine", 99, name="flats")
            await registry.refresh()
            assert ready_versions(registry) == ["flats/99", "houses/1"]
            assert len(_warnings(caplog)) == 1

    run_test(test())


@pytest.mark.parametrize(
    ("versions", "told"),
    [
        ("latest,flats=4+99", _ABSENT),
        (
            "latest,flats=5+99",
            "model flats: versions 5, 99, which the settings select, are not in the repository; there is 1, 4; "
            "the model does not answer",
        ),
        (
            "latest,flatz=1",
            "model flatz: version 1, which the settings select, is not in the repository; no version of this model is "
            "there; the model does not answer",
        ),
    ],
)
def test_each_absent_version_is_told_at_the_start(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture, versions: str, told: str
) -> None:
    """One of two, both, and a version of a misspelt model."""
    for version in (1, 4):
        write_model("affine", version, name="flats")

    async def test() -> None:
        async with loaded_registry(Settings(models=models, versions=versions)):
            assert _warnings(caplog) == [told]

    run_test(test())


def test_an_absent_version_counts_as_refused_while_it_is_selected(models: Path, write_model: WriteModel) -> None:
    """The alert of refused versions tells of it, and that of models that answer nowhere. A version that answers from
    memory counts as ready.
    """
    write_model("affine", 4, name="flats")
    metrics = Metrics()

    def shown(version: int) -> tuple[float | None, float | None]:
        labels = {"model": "flats", "version": str(version)}
        reason = {"reason": "absent"}
        value = metrics.registry.get_sample_value
        return value("kan_model_ready", labels), value("kan_model_refused_total", labels | reason)

    async def test() -> None:
        settings = Settings(models=models, versions="flats=4+99")
        async with loaded_registry(settings, metrics) as registry:
            assert (shown(4), shown(99)) == ((1, None), (0, 1))
            await registry.refresh()
            assert shown(99) == (0, 1)
            await registry.adopt(settings.model_copy(update={"versions": "flats=4+98"}))
            assert (shown(98), shown(99)) == ((0, 1), (None, 1))
            write_model("affine", 98, name="flats")
            await registry.refresh()
            assert shown(98) == (1, 1)
            for version in (4, 98):
                (models / "flats" / str(version)).rename(models / "flats" / f".withdrawn-{version}")
            await registry.refresh()
            assert (shown(4), shown(98)) == ((1, None), (1, 1))

    run_test(test())


def test_the_withdrawal_of_a_selected_version_is_told_once_with_what_answers(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    """The withdrawn version answers from memory until other settings select one that is there."""
    for version in (1, 4):
        write_model("affine", version, name="flats")

    async def test() -> None:
        settings = Settings(models=models, versions="latest,flats=4")
        async with loaded_registry(settings) as registry:
            (models / "flats" / "4").rename(models / "flats" / ".withdrawn-4")
            for _ in range(3):
                await registry.refresh()
            assert _warnings(caplog) == [
                "model flats: version 4, which the settings select, is not in the repository any more (withdrawn?); "
                "there is 1; version 4 answers until the server ends: select a version that is there"
            ]
            assert ready_versions(registry) == ["flats/4"]
            await registry.adopt(settings.model_copy(update={"versions": "latest,flats=1"}))
            await registry.refresh()
            assert ready_versions(registry) == ["flats/1"]
            assert len(_warnings(caplog)) == 1
            await registry.adopt(settings)
            assert _warnings(caplog)[1:] == [
                "model flats: version 4, which the settings select, is not in the repository; there is 1; version 1 "
                "answers until the server ends: select a version that is there"
            ]

    run_test(test())


def test_a_selected_model_that_is_gone_as_a_whole_is_told_once(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning says that its files are gone and that it answers."""
    write_model("affine", 4, name="flats")

    async def test() -> None:
        async with loaded_registry(Settings(models=models, versions="flats=4")) as registry:
            shutil.rmtree(models / "flats")
            for _ in range(2):
                await registry.refresh()
            (told,) = _warnings(caplog)
            assert told.startswith("model flats: its files are gone")

    run_test(test())
