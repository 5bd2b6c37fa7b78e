"""Files in storage, with fsspec's in-memory store and the local disk."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from service.errors import StartupError, StorageError
from service.repository import storage
from service.repository.storage import Storage

# It says nothing of its types.
fsspec: Any = importlib.import_module("fsspec")


@pytest.fixture
def url() -> str:
    """The address of an empty place in memory."""
    return f"memory://{uuid4().hex}"


@pytest.fixture
def write(url: str) -> Callable[[str, bytes], None]:
    """Puts a file there: a path below the address, and bytes."""

    def put(path: str, content: bytes) -> None:
        with fsspec.open(f"{url}/{path}", "wb") as file:
            file.write(content)

    return put


@pytest.mark.parametrize("ending", ["", "/"])
def test_files_are_listed_below_the_address(ending: str, url: str, write: Callable[..., None]) -> None:
    """By path, at any depth, with sizes. A folder whose name only begins like the address is not listed."""
    assert Storage(url + ending).list_files() == {}
    write("digits/1/model.onnx", b"123")
    write("top", b"")
    with fsspec.open(f"{url}-other/file", "wb") as file:
        file.write(b"no")
    found = Storage(url + ending).list_files()
    assert {path: one.size_bytes for path, one in found.items()} == {"digits/1/model.onnx": 3, "top": 0}


def test_another_content_has_another_stamp(url: str, write: Callable[..., None]) -> None:
    """A scan sees files that were written after the previous scan. Unchanged files have the same fingerprint."""
    write("file", b"one")
    place = Storage(url)
    before = place.list_files()["file"].fingerprint
    assert place.list_files()["file"].fingerprint == before
    write("file", b"two")
    assert place.list_files()["file"].fingerprint != before


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 20])
def test_a_file_is_fetched_in_pieces(
    size: int, url: str, write: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any size, the copy equals the file."""
    monkeypatch.setattr(storage, "_PIECE_BYTES", 7)
    content = bytes(range(size))
    write("file", content)
    Storage(url).fetch("file", size, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


def test_a_file_that_has_gone(url: str, tmp_path: Path) -> None:
    """Its error differs from that of a storage that does not answer."""
    with pytest.raises(FileNotFoundError):
        Storage(url).fetch("file", 5, tmp_path / "copy")


def test_a_fetch_is_bounded_in_time(
    url: str, write: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 s, and a second more for each MiB; another try may help."""
    monkeypatch.setattr(storage, "_PIECE_BYTES", 2)
    write("file", b"1234")
    times = iter([0.0, 59.0, 60.5])
    with pytest.raises(StorageError, match="no answer") as caught:
        Storage(url, lambda: next(times)).fetch("file", 4, tmp_path / "copy")
    assert caught.value.may_pass


@pytest.mark.parametrize("lost", [1, 6])
def test_a_piece_that_is_cut_off(
    lost: int, url: str, write: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way there is at fault, or the file was replaced since it was listed: another try may help."""
    write("file", b"123456")
    place = Storage(url)
    whole = place._system.cat_file
    monkeypatch.setattr(place._system, "cat_file", lambda *given, **more: whole(*given, **more)[:-lost])
    with pytest.raises(StorageError, match="wanted 6") as caught:
        place.fetch("file", 6, tmp_path / "copy")
    assert caught.value.may_pass


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no empty repository either."""

    def refuse(_: Any) -> None:
        raise PermissionError("Permission denied")

    # root may read anything.
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(StorageError, match="Permission denied") as caught:
        Storage(f"file://{tmp_path}").list_files()
    assert not caught.value.may_pass


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A mount that is away is no empty repository; waiting for a folder that was never there is no use."""
    with pytest.raises(StorageError, match="No such folder") as caught:
        Storage(f"file://{tmp_path}/absent").list_files()
    assert not caught.value.may_pass
    (tmp_path / "empty").mkdir()
    assert Storage(f"file://{tmp_path}/empty").list_files() == {}


def test_passwords_are_not_told() -> None:
    """No message has the part of the address before its @."""
    with pytest.raises(StartupError, match="address") as caught:
        Storage("nothing://user:secret@host/models")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("private", ["user:secret", "user:sec/secret", "user:p@secret", "secret"])
def test_libraries_do_not_tell_passwords_either(private: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever signs are in it, and although a library takes it for the bucket's name and complains about that."""
    place = Storage(f"memory://{private}@host/models")

    def complain(path: str, **_: Any) -> None:
        raise ValueError(f"Invalid bucket name {path}")

    monkeypatch.setattr(type(place._system), "find", complain)
    with pytest.raises(StorageError, match="cannot be read") as caught:
        place.list_files()
    assert "secret" not in str(caught.value)
    with pytest.raises(StartupError, match="'ftp://host/models'") as failed:
        Storage("ftp://user:not-a-port/secret@host/models")
    assert "secret" not in str(failed.value)


def test_an_address_of_no_bucket() -> None:
    """The whole of a store is no repository."""
    with pytest.raises(StartupError, match="bucket"):
        Storage("memory://")


def _kan_serve(without: str, models: str) -> "subprocess.CompletedProcess[str]":
    """kan-serve without an optional package."""
    code = f"""
import sys
sys.modules[{without!r}] = None
from service.cli import main
sys.exit(main(["--models", {models!r}, "--grpc-port", "0", "--http-port", "0"]))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("package", ["fsspec", "s3fs"])
def test_a_package_that_is_not_installed(package: str) -> None:
    """One line that names the extra, and exit code 1."""
    done = _kan_serve(package, "s3://models/production")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("kan-serve: model repository 's3://models/production' needs a package")
    assert " install " in line
    assert line.endswith("[storage]'")


def test_a_folder_needs_none(tmp_path: Path) -> None:
    """A repository on disk is served without fsspec: it is not even imported."""
    code = f"""
import asyncio, sys
from service.process import server
from service.process.stop import Stop
from service.settings import Settings

async def main():
    started = await server.start(Settings(models={str(tmp_path)!r}, grpc_port=0, http_port=0))
    await started.load()
    stop = Stop(0)
    stop.ask()
    await started.finish(stop)

asyncio.run(main())
print([name for name in ("fsspec", "s3fs", "botocore") if name in sys.modules])
"""
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
