"""What a killed publisher leaves is removed by the next one; what a live one uses is not."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from training.publishing.publish import Published, publish
from training.publishing.staging import remove_abandoned, staging_folder

_MANIFEST = ModelManifest(name="flowers", features=[Feature(name="a")])
_PUBLISHER = """
import sys
from pathlib import Path
from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from training.publishing.publish import publish

def files(version):
    print("writing", flush=True)
    sys.stdin.readline()
    return {"model.onnx": b"theirs"}

publish(Path(sys.argv[1]), ModelManifest(name="flowers", features=[Feature(name="a")]), files)
"""

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Start]:
    """Starts a process that publishes, and waits until it is in the middle; a line on its input lets it go on."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", _PUBLISHER, str(tmp_path)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "writing\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _publish(models: Path) -> Published:
    return publish(models, _MANIFEST, lambda _: {"model.onnx": b"ours"})


def _hidden(models: Path) -> list[Path]:
    return sorted((models / "flowers").glob(".*"))


def test_what_a_killed_publisher_left_is_removed(tmp_path: Path, publisher: Start) -> None:
    """By the next publication, without a word."""
    process = publisher()
    process.kill()
    process.wait()
    assert len(_hidden(tmp_path)) == 1
    published = _publish(tmp_path)
    assert (published.manifest.version, published.notes, _hidden(tmp_path)) == (1, (), [])


def test_a_live_publisher_keeps_its_folder(tmp_path: Path, publisher: Start) -> None:
    """Another one publishes meanwhile; each version is whole."""
    process = publisher()
    (theirs,) = _hidden(tmp_path)
    published = _publish(tmp_path)
    assert (published.manifest.version, published.notes, _hidden(tmp_path)) == (1, (), [theirs])
    process.communicate("\n\n")  # files() is asked again, for version 2
    assert process.returncode == 0
    assert _hidden(tmp_path) == []
    assert (tmp_path / "flowers" / "1" / "model.onnx").read_bytes() == b"ours"
    assert (tmp_path / "flowers" / "2" / "model.onnx").read_bytes() == b"theirs"


@pytest.mark.parametrize("name", [".publishing-267fbofq", f".publishing-{'0' * 32}-267fbofq"])
def test_a_folder_of_which_nothing_is_known_is_left_and_named(tmp_path: Path, name: str) -> None:
    """An older kan-train took no lock, and another machine's lock may not be seen here."""
    folder = tmp_path / "flowers" / name
    folder.mkdir(parents=True)
    published = _publish(tmp_path)
    assert _hidden(tmp_path) == [folder]
    (note,) = published.notes
    assert note.startswith(f"warning   {folder} is a publisher's")


def test_without_an_id_of_the_boot_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A free lock says nothing if the folder may be of another machine."""
    monkeypatch.setattr("training.publishing.staging._BOOT_ID", tmp_path / "no such file")
    folder = tmp_path / "flowers" / ".publishing-267fbofq"
    folder.mkdir(parents=True)
    (note,) = _publish(tmp_path).notes
    assert _hidden(tmp_path) == [folder]
    assert note.startswith(f"warning   {folder} is a publisher's")


def test_a_folder_that_is_removed_before_it_is_locked_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another publisher may come between the folder and its lock, and takes it for abandoned."""
    lock = fcntl.flock

    def overtaken(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        assert remove_abandoned(tmp_path) == ()
        assert list(tmp_path.iterdir()) == []
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", overtaken)
    with staging_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_a_publication_leaves_no_file_open(tmp_path: Path) -> None:
    """A notebook publishes a thousand times; what the lock was held on is closed each time."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    abandoned = tmp_path / "flowers" / f".publishing-{boot}-267fbofq"
    open_files = []
    for _ in range(3):
        abandoned.mkdir(parents=True)
        assert _publish(tmp_path).notes == ()
        assert not abandoned.exists()
        open_files.append(len(os.listdir("/proc/self/fd")))
    assert open_files == [open_files[0]] * 3
