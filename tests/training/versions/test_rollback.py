"""Going back to an earlier version, as files and as seen by a real kan-serve."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service.client import Client
from tests.kit.models.repository import cut_short, write_version
from tests.kit.server.kan_serve import serving
from tests.kit.waiting import wait_for
from training.errors import TrainingError
from training.publishing.publish import PublishError, publish
from training.publishing.repository import locked, next_version, published_versions, read_manifest, withdrawn_versions
from training.versions import Rollback, roll_back
from training.versions.rollback import RollbackError


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with three versions of the model "affine"."""
    for version in (1, 2, 3):
        write_version(tmp_path / "models", "affine", version)
    return tmp_path / "models"


def test_a_rollback_withdraws_the_newest_version_and_keeps_its_files(models: Path) -> None:
    """The version before is the newest then, and nothing of the withdrawn one is lost."""
    before = (models / "affine" / "3" / "model.onnx").read_bytes()
    done = roll_back(models, "affine")
    assert (done.version, done.withdrawn) == (2, (3,))
    assert published_versions(models / "affine") == [1, 2]
    assert (models / "affine" / ".withdrawn-3" / "model.onnx").read_bytes() == before
    assert 'name: "affine"' in (models / "affine" / "config.pbtxt").read_text()


@pytest.mark.parametrize(
    ("is_broken", "told"),
    [
        (
            False,
            "went back from version 3, the newest published one. A server may have refused 3 and answered",
        ),
        (
            True,
            "kan-serve refuses version 3, so version 2 may have answered before, and then nothing has changed; --to",
        ),
    ],
)
def test_the_notes_tell_from_which_version_it_went_back(models: Path, is_broken: bool, told: str) -> None:
    """The default is told by number: where a server refuses the newest, the one before has answered all along."""
    if is_broken:
        cut_short(models / "affine" / "3")
    done = roll_back(models, "affine")
    assert (done.version, done.withdrawn) == (2, (3,))
    assert done.notes[0].startswith(told)
    assert not roll_back(models, "affine", to=1).notes


def test_a_number_that_was_published_is_never_given_again(models: Path) -> None:
    """After two rollbacks in a row the next publication gets the number above all of them."""
    roll_back(models, "affine")
    roll_back(models, "affine")
    manifest = read_manifest(models / "affine" / "1")
    assert manifest is not None
    published = publish(models, manifest, lambda _: {"model.onnx": b"new"}, after=1)
    assert published.folder.name == "4"
    assert withdrawn_versions(models / "affine") == [2, 3]


def test_a_number_stays_taken_if_the_withdrawn_folder_is_removed(models: Path) -> None:
    """Clients and logs know another version 3, whatever was done to free the disk."""
    roll_back(models, "affine")
    shutil.rmtree(models / "affine" / ".withdrawn-3")
    assert withdrawn_versions(models / "affine") == []
    assert next_version(models / "affine") == 4


def test_a_number_withdrawn_while_its_files_were_written_is_not_given(models: Path) -> None:
    """A publisher that was about to take number 4 takes 5, where 4 was published and withdrawn meanwhile."""
    manifest = read_manifest(models / "affine" / "3")
    assert manifest is not None

    def files(version: int) -> dict[str, bytes]:
        if version == 4:
            publish(models, manifest, lambda _: {"model.onnx": b"theirs"})
            roll_back(models, "affine")
        return {"model.onnx": b"ours"}

    assert publish(models, manifest, files, after=3).folder.name == "5"
    with pytest.raises(PublishError, match="version 5 was withdrawn meanwhile"):
        publish(models, manifest, lambda _: dict.fromkeys([_withdraw(models)], b""), after=5)


def _withdraw(models: Path) -> str:
    roll_back(models, "affine")
    return "model.onnx"


def test_a_version_can_be_named_and_naming_it_again_changes_nothing(models: Path) -> None:
    """--to 1 withdraws 3 and 2; a second time there is nothing to do, and that is no error."""
    assert roll_back(models, "affine", to=1) == Rollback("affine", 1, (3, 2))
    assert roll_back(models, "affine", to=1) == Rollback("affine", 1, ())
    assert next_version(models / "affine") == 4


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        ("rose", None, 'no model "rose"; wanted one of "affine"'),
        ("../models/affine", None, "no model"),
        ("affine", 7, "no version 7; wanted one of 3, 2, 1"),
        ("affine", 2, "it was changed after publication"),
        ("affine", 1, "1: its manifest.json lists model.onnx 2 times, wanted once, .* by --to"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    models: Path, name: str, to: int | None, message: str
) -> None:
    """No such model, a path for a name, no such version, a damaged version, one that lists its model twice."""
    cut_short(models / "affine" / "2")
    shutil.rmtree(models / "affine" / "1")
    write_version(models, "affine", 1, change=lambda manifest: manifest.files.append(manifest.files[0]))
    with pytest.raises(TrainingError, match=message):
        roll_back(models, name, to)
    assert published_versions(models / "affine") == [1, 2, 3]


@pytest.mark.parametrize("name", ["affine", "classifier"])
def test_a_version_copied_by_hand_is_no_target(models: Path, name: str) -> None:
    """kan-serve refuses it, so it is refused before anything is withdrawn; --to a version as published passes it by.

    The copy is of another version of the same model, or of another model's.
    """
    write_version(models, "classifier")
    folder = models / "affine"
    shutil.copytree(models / name / "1", folder / "4")
    shutil.copytree(folder / "2", folder / "5")
    with pytest.raises(TrainingError, match=rf'4: its manifest.json is of version 1 of "{name}".* by --to'):
        roll_back(models, "affine")
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "3", "4", "5"]
    assert roll_back(models, "affine", to=3).withdrawn == (5, 4)


@pytest.mark.parametrize("to", [None, 5])
def test_a_broken_version_is_refused_with_the_newest_earlier_whole_one(models: Path, to: int | None) -> None:
    """Of six versions the fifth was changed, the fourth lacks a file, the third is whole; --to as told goes there."""
    for version in (4, 5, 6):
        write_version(models, "affine", version)
    cut_short(models / "affine" / "5")
    (models / "affine" / "4" / "model.onnx").unlink()
    with pytest.raises(RollbackError, match=r"5/model\.onnx: it was changed .*; version 3 is the newest .* by --to 3$"):
        roll_back(models, "affine", to)
    assert roll_back(models, "affine", to=3).withdrawn == (6, 5, 4)


def test_no_earlier_version_is_named_where_none_is_whole(models: Path) -> None:
    """The message says so; a newer version, which is whole, is not taken for an earlier one."""
    for version in (1, 2):
        cut_short(models / "affine" / str(version))
    with pytest.raises(RollbackError, match=r"no earlier version is whole; name another one by --to, as `kan-train"):
        roll_back(models, "affine")
    assert published_versions(models / "affine") == [1, 2, 3]


def test_the_only_version_stays(tmp_path: Path) -> None:
    """A model is never left without a version."""
    write_version(tmp_path, "affine")
    with pytest.raises(TrainingError, match="version 1 is the only one"):
        roll_back(tmp_path, "affine")
    assert published_versions(tmp_path / "affine") == [1]


def test_a_rollback_killed_half_way_goes_on_when_it_is_asked_again(models: Path) -> None:
    """Killed between two renames: the version in the middle is the newest, and the same command finishes."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom training.versions import roll_back\n"
        "def hook(event, arguments):\n"
        "    if event == 'os.rename' and str(arguments[1]).endswith('withdrawn-2'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(hook)\n"
        f"roll_back(Path({str(models)!r}), 'affine', to=1)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert published_versions(models / "affine") == [1, 2]
    assert roll_back(models, "affine", to=1).withdrawn == (2,)
    assert withdrawn_versions(models / "affine") == [2, 3]


def test_two_rollbacks_at_once_withdraw_one_version(models: Path) -> None:
    """Both saw version 3 as the newest. One withdraws it, the other is told."""
    done: list[Rollback | TrainingError] = []

    def work() -> None:
        try:
            done.append(roll_back(models, "affine"))
        except TrainingError as error:
            done.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    with locked(models / "affine"):
        inode = f":{(models / 'affine').stat().st_ino} "
        for thread in threads:
            thread.start()
        # Both have looked, and wait for the lock.
        wait_for(
            lambda: sum("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines()) == 2
        )
    for thread in threads:
        thread.join()
    [error] = [each for each in done if isinstance(each, TrainingError)]
    assert "version 2 is the newest now" in str(error)
    assert published_versions(models / "affine") == [1, 2]


def test_a_server_goes_back_and_later_forward(models: Path, tmp_path: Path) -> None:
    """kan-serve answers with version 2 after the rollback, without a restart, and with version 4 once it is there."""
    row = [[0.0, 1.0, 2.0, 3.0]]
    with serving(models, "--poll-seconds", "0.05", log=tmp_path / "log") as server, Client(server.grpc, 60) as client:
        assert client.predict("affine", row).version == 3
        roll_back(models, "affine")
        wait_for(lambda: client.predict("affine", row).version == 2)
        write_version(models, "affine", next_version(models / "affine"))
        wait_for(lambda: client.predict("affine", row).version == 4)
        assert server.sample("kan_model_refused_total") == 0
