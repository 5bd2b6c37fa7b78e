"""Models are closed after their last lease, whatever their version did before."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from service.errors import Draining, ModelNotFound, ModelNotReady
from service.settings import ModelTable, Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.agreeing import Worker, two_workers
from tests.kit.waiting import run_test, until


def _answers(worker: Worker, version: int) -> bool:
    try:
        return worker.batch_rows(version) > 0
    except (ModelNotFound, ModelNotReady):
        return False


@pytest.mark.parametrize("end", ["it is wanted no more", "other settings"])
def test_a_call_that_leased_an_armed_version_is_answered_after_its_switch_is_called_off(
    end: str, models: Path, write_model: WriteModel
) -> None:
    """An armed version answers by its number. The other worker loses it; then this one drops it or loads it anew."""
    write_model("affine")

    async def test() -> None:
        async with two_workers(models) as (agreements, first, second):
            second.late = []
            write_model("affine", version=2)
            looking = [asyncio.create_task(worker.registry.refresh()) for worker in (first, second)]
            await until(lambda: bool(second.late) and _answers(first, 2))
            with first.registry.lease("affine", 2) as model:
                shutil.rmtree(models / "affine" / "2")
                await second.registry.refresh()
                await until(lambda: not _answers(first, 2))
                if end == "other settings":
                    table = ModelTable(max_batch_rows=7)
                    await agreements.settings.adopt(Settings(models=models, tables={"affine": table}))
                await first.registry.refresh()
                assert first.latest() == second.latest() == 1
                for _turn in range(9):  # a load that is cancelled ends some turns of the event loop later
                    await asyncio.sleep(0)
                assert len((await model.submit(np.ones((1, 4), np.float32))).outputs[0]) == 1
                assert model in first.registry._succession.models()
            await asyncio.gather(*looking)
            await until(lambda: model not in first.registry._succession.models())
            with pytest.raises(Draining):
                await model.submit(np.ones((1, 4), np.float32))

    run_test(test())
