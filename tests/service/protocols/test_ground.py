"""What an answer tells of unknown ground, and what a refusal says."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import InvalidRequest
from service.metrics.metrics import Metrics
from service.protocols import ground as room
from service.protocols.ground import look_at
from service.registry.model.live_model import LiveModel, load
from service.repository.disk import read_version
from service.settings import Settings
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import Change, WriteModel

_KNOWN = np.array([[0, 0.5, 2, 3]], np.float32)
_ODD = np.array([[0, 0.5, 2, 3], [0, 1.5, 2, 500], [-1, 0, 0, -2]], np.float32)


def _model(models: Path, write_model: WriteModel, change: Change | None) -> LiveModel:
    write_model("affine", change=change)
    return load(read_version(models, "affine", 1), Settings(), Metrics())


@pytest.mark.parametrize(
    ("policy", "asked", "told"),
    [("answer", False, False), ("answer", True, True), ("flag", False, True), ("flag", True, True)],
)
def test_ground_is_told_where_asked_or_flagged(
    models: Path, write_model: WriteModel, policy: str, asked: bool, told: bool
) -> None:
    """And only there."""
    ground = asyncio.run(look_at("features", _ODD, _model(models, write_model, with_ground(policy)), asked=asked))
    assert (ground is not None) == told
    if ground is not None:
        assert (ground.is_known, ground.unknown_rows, ground.unknown_cells) == (True, 2, 3)


def test_of_a_version_without_histograms_nothing_is_known(models: Path, write_model: WriteModel) -> None:
    """Which is what a caller is told who asks."""
    model = _model(models, write_model, None)
    assert asyncio.run(look_at("features", _ODD, model, asked=False)) is None
    ground = asyncio.run(look_at("features", _ODD, model, asked=True))
    assert ground is not None
    assert not ground.is_known
    assert not ground.cells


def test_a_refusal_names_rows_columns_values_and_ranges(models: Path, write_model: WriteModel) -> None:
    """Rows on known ground are answered, and tell so where asked."""
    model = _model(models, write_model, with_ground("refuse"))
    assert asyncio.run(look_at("features", _KNOWN, model, asked=False)) is None
    ground = asyncio.run(look_at("features", _KNOWN, model, asked=True))
    assert ground is not None
    assert ground.is_known
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(look_at("features", _ODD, model, asked=False))
    assert str(caught.value) == (
        "features: 2 of 3 rows lie on unknown ground, which this model refuses: "
        'row 1, column "x1" is 1.5, in a gap of the training rows (-1 to 3); '
        'row 1, column "x3" is 500, training had -1 to 3; '
        'row 2, column "x3" is -2, training had -1 to 3'
    )


def test_a_refusal_is_bounded(models: Path, write_model: WriteModel) -> None:
    """A few hundred characters, whatever the rows and the names of the columns; the rest is counted."""

    def change(manifest: ModelManifest) -> None:
        with_ground("refuse")(manifest)
        for place, feature in enumerate(manifest.features):
            manifest.columns[place].name = feature.column = feature.name = f"{place}{'n' * 4000}"

    model = _model(models, write_model, change)
    with pytest.raises(InvalidRequest, match=r"4000 of 4000 rows .* row 0, .*; 15998 more cells$") as caught:
        asyncio.run(look_at("features", np.full((4000, 4), 9, np.float32), model, asked=False))
    assert len(str(caught.value)) < 500


def test_many_rows_are_looked_at_in_a_thread(models: Path, write_model: WriteModel) -> None:
    """The same is told, and the event loop goes on meanwhile: it would stand still for 20 ms."""
    model = _model(models, write_model, with_ground())
    rows = np.tile(_ODD, (room._INLINE_NUMBERS // _ODD.size + 1, 1))

    async def check() -> None:
        looking = asyncio.create_task(look_at("features", rows, model, asked=True))
        await asyncio.sleep(0)
        assert not looking.done()
        ground = await looking
        assert ground is not None
        assert (ground.unknown_rows, ground.unknown_cells) == (2 * len(rows) // 3, len(rows))

    asyncio.run(check())
