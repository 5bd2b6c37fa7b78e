"""A version that cannot stand in for the one before it is refused, alike at the start and at a swap."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from service.metrics.metrics import Metrics
from service.registry.registry import Registry, State
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import loaded_registry


def reverse_classes(manifest: ModelManifest) -> None:
    """The same classes in another order: old labels would mean other classes."""
    manifest.classes[:] = reversed(list(manifest.classes))


def ready(registry: Registry) -> list[int]:
    """The versions of "digits" that answer."""
    return [one.version for one in registry.statuses() if one.state is State.READY]


def serve(models: Path, write: Callable[[], object], at_start: bool, **settings: Any) -> tuple[list[int], str]:
    """Versions that answer, and why another version does not. `write` publishes it before the start or after it."""

    async def test() -> tuple[list[int], str]:
        registry = Registry(Settings(models=models, linger_seconds=0, **settings), Metrics())
        if at_start:
            write()
        await registry.load_all()
        if not at_start:
            write()
            await registry.refresh()
        outcome = ready(registry), "; ".join(one.reason for one in registry.statuses() if one.reason)
        await registry.close()
        return outcome

    return asyncio.run(test())


@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("imputed", None, "it answers otherwise"),
        ("classifier", reverse_classes, "class 1 is"),
        ("affine", None, "numbers here"),
    ],
)
def test_other_inputs_or_classes_do_not_take_over(
    models: Path, write_model: WriteModel, at_start: bool, kind: str, change: Any, told: str
) -> None:
    """The previous version still answers. The reason has the difference and the flag."""
    write_model("classifier", 1, name="digits")
    served, reason = serve(models, lambda: write_model(kind, 2, name="digits", change=change), at_start)
    assert served == [1]
    assert told in reason
    assert "--allow-incompatible digits" in reason


@pytest.mark.parametrize("at_start", [True, False])
def test_the_same_mistake_twice_does_not_become_right(models: Path, write_model: WriteModel, at_start: bool) -> None:
    """The next version is compared with the last valid one, not with a refused one."""
    write_model("affine", 1, name="digits")

    def write() -> None:
        for version in (2, 3):
            write_model("imputed", version, name="digits")
        write_model("affine", 4, name="digits")
        write_model("imputed", 5, name="digits")

    assert serve(models, write, at_start)[0] == [4]


@pytest.mark.parametrize("at_start", [True, False])
def test_a_broken_manifest_binds_nobody(models: Path, write_model: WriteModel, at_start: bool) -> None:
    """As in training, which publishes after it."""
    (write_model("imputed", 1, name="digits") / "manifest.json").write_text("{")
    assert serve(models, lambda: write_model("affine", 2, name="digits"), at_start)[0] == [2]


@pytest.mark.parametrize("at_start", [True, False])
def test_an_operator_who_means_it_says_so_a_model(models: Path, write_model: WriteModel, at_start: bool) -> None:
    """The flag names the model, and other models are still checked."""
    write_model("affine", 1, name="digits")
    write_model("affine", 1, name="other")

    def write() -> None:
        write_model("imputed", 2, name="digits")
        write_model("imputed", 2, name="other")

    served, reason = serve(models, write, at_start, allow_incompatible="digits, third")
    assert served == [2, 1]
    assert "--allow-incompatible other" in reason


def test_a_version_is_compared_again_once_the_ones_before_it_are_gone(models: Path, write_model: WriteModel) -> None:
    """The operator removes the old version: the new one answers without a restart, as it would after one."""
    old = write_model("affine", 1, name="digits")

    async def test() -> None:
        async with loaded_registry(Settings(models=models, linger_seconds=0)) as registry:
            write_model("imputed", 2, name="digits")
            await registry.refresh()
            assert ready(registry) == [1]
            old.rename(models / "aside")
            await registry.refresh()
            assert ready(registry) == [2]

    asyncio.run(test())


def test_a_version_by_itself_is_held_against_nothing(models: Path, write_model: WriteModel) -> None:
    """Newer versions do not bind an older one: to go back is always possible."""
    write_model("affine", 1, name="digits")
    newest = write_model("imputed", 2, name="digits")

    async def test() -> None:
        async with loaded_registry(Settings(models=models, linger_seconds=0, allow_incompatible="digits")) as registry:
            assert ready(registry) == [2]
            newest.rename(models / "aside")
            await registry.refresh()
            assert ready(registry) == [1]

    asyncio.run(test())
