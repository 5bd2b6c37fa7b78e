"""Files of a served version that are changed in place: one warning for each change, and no other one."""

import asyncio
import os
from pathlib import Path

import pytest

from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import loaded_registry, ready_versions
from tests.kit.waiting import run_test


@pytest.mark.parametrize("at_once", [1, 16])
def test_a_served_version_whose_files_change_is_told_once(
    models: Path,
    write_model: WriteModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at_once: int,
) -> None:
    """It answers as before. A file that is added, or a folder that is gone, is no change of what was read."""
    monkeypatch.setattr("service.registry.scanning.changed_files._AT_ONCE", at_once)
    folders = {name: write_model("affine", name=name) for name in ("added", "damaged", "gone", "later")}

    def told() -> list[str]:
        return [record.getMessage().split()[1] for record in caplog.records if "have changed" in record.getMessage()]

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            (folders["added"] / "notes.txt").write_text("good")
            folders["gone"].rename(models / "gone" / ".withdrawn-1")
            for number, name in enumerate(("damaged", "later", "damaged"), 1):
                os.truncate(folders[name] / "model.onnx", 20 + number)
                while len(told()) < number:
                    await registry.scan()
                    await asyncio.sleep(0)
            assert told() == ["damaged", "later", "damaged"]
            assert ready_versions(registry) == ["added/1", "damaged/1", "gone/1", "later/1"]

    run_test(test())
