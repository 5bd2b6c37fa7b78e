"""Exit codes of kan-train where the system fails, and where a signal ends it."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.longest_file import longest_file
from tests.kit.waiting import wait_for
from training.cli import main
from training.errors import SystemFailed, TrainingError, kind_of
from training.publishing.publish import Published

ROOT = Path(__file__).parents[3]


def files(folder: Path) -> set[Path]:
    """All paths below a folder."""
    return set(folder.rglob("*"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["tune", "models/flowers/1", "--rows", "1"], "models/flowers: cannot publish: File too large (flowers)"),
        (
            ["init", "flowers.csv", "--target", "weight", "--output", "r.toml"],
            "r.toml: cannot write it: File too large",
        ),
        (["run", "flowers.toml", "--fresh"], "state.pt: File too large"),
    ],
)
def test_a_failure_of_the_system_is_code_1_and_leaves_nothing_by_half(
    command: list[str],
    message: str,
    flowers: Published,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where a file cannot be written to its end, one line says which, and the models are as they were."""
    assert flowers.folder == tmp_path / "models" / "flowers" / "1"
    monkeypatch.chdir(tmp_path)
    before, models = files(tmp_path), files(tmp_path / "models")
    with longest_file(100):
        assert main([*command, "--quiet"]) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert files(tmp_path / "models") == models
    assert {path.relative_to(tmp_path).parts[0] for path in files(tmp_path) - before} <= {"runs"}


@pytest.mark.parametrize(
    ("number", "is_systems"),
    [
        (errno.ENOSPC, True),
        (errno.EDQUOT, True),
        (errno.EIO, True),
        (errno.EMFILE, True),
        (errno.EFBIG, True),
        (errno.EACCES, False),
        (errno.EROFS, False),
        (errno.ENOTDIR, False),
        (None, False),
    ],
)
def test_what_another_path_mends_is_a_mistake(number: int | None, is_systems: bool) -> None:
    """A full disk, a quota and a device that fails are the system's; permissions and wrong paths are the user's."""
    error = OSError("Couldn't deserialize thrift") if number is None else OSError(number, os.strerror(number))
    kind = kind_of(error, TrainingError)
    assert kind is (SystemFailed if is_systems else TrainingError)


def test_a_file_in_the_place_of_the_runs_is_code_2(
    write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another --runs mends it."""
    recipe = write_recipe()
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(recipe), "--runs", "flowers.csv"]) == 2


def test_a_full_disk_behind_standard_output_is_code_1(tmp_path: Path) -> None:
    """Of the process too, and Python does not report it a second time."""
    command = [sys.executable, "-m", "training", "list", "--models", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "kan-train: the system: No space left on device\n")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_a_command_and_it_leaves_no_file(number: signal.Signals, tmp_path: Path) -> None:
    """`init`, while it reads a table: in a shell 129 and 143. Under `nohup` it would inherit that SIGHUP is ignored."""
    table = tmp_path / "table.csv"
    os.mkfifo(table)
    command = [sys.executable, "-m", "training", "init", str(table), "--target", "y", "--output", str(tmp_path / "r")]
    inherited = signal.signal(number, signal.SIG_DFL)
    try:
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, inherited)
    with process:
        writer = wait_for(lambda: writer_of(table), "the command to read")
        process.send_signal(number)
        assert process.wait(timeout=60) == -number
        os.close(writer)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == [table]


def writer_of(pipe: Path) -> int:
    """The end of a pipe to write to, once a process reads it; else 0."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # ENXIO: nobody reads
        return 0
