"""The cache on a real disk: a version is complete or absent, also after a kill and with several servers."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import StartupError, StorageError
from service.repository.cache import Cache
from service.repository.disk import list_models
from tests.kit.clock import Clock

_URL = "s3://models/production"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock(1e9)


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache", _URL, clock)


def _put(cache: Cache, name: str, version: int, content: str = "") -> None:
    """Put a version there, as used at the clock's time."""
    with cache.staging() as staging:
        folder = staging / name / str(version)
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(content)
        cache.put(staging, name, version, f"stamp of {version}")
    now = cache._clock()
    os.utime(cache.root / name / str(version) / "stamp", (now, now))


def _entries(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.root.iterdir() if path.name != ".lock")


def test_a_version_comes_whole_with_its_stamp(cache: Cache) -> None:
    """The layout is that of a repository, and no other file is left."""
    _put(cache, "digits", 3, "text")
    assert list_models(cache.root) == [("digits", 3)]
    assert (cache.root / "digits" / "3" / "manifest.json").read_text() == "text"
    assert (cache.fingerprint("digits", 3), cache.fingerprint("digits", 4)) == ("stamp of 3", "")
    assert _entries(cache) == ["digits"]


def test_a_version_takes_the_place_of_its_older_self(cache: Cache) -> None:
    """A version that is published again under the same number replaces the cached one."""
    _put(cache, "digits", 3, "old")
    _put(cache, "digits", 3, "new")
    assert (cache.root / "digits" / "3" / "manifest.json").read_text() == "new"
    assert _entries(cache) == ["digits"]


@pytest.mark.parametrize("name", ["lock", "old", "stamp"])
def test_a_model_may_have_any_name(cache: Cache, name: str) -> None:
    """The other files in the cache have names that no model can have."""
    for content in ("old", "new"):
        _put(cache, name, 1, content)
    assert (cache.root / name / "1" / "manifest.json").read_text() == "new"
    assert _entries(cache) == [name]


def test_a_full_disk_is_tidied_up(cache: Cache, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """To remove a version nothing is made first."""
    for version in (1, 2):
        _put(cache, "digits", version)
    clock.now += 3601

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.mkdir", full)
    cache.evict([("digits", 1), ("digits", 2)], [])
    assert _entries(cache) == []


def test_a_workshop_goes_when_it_fails(cache: Cache) -> None:
    """A refused version leaves no files. Errors of the disk become StorageErrors."""
    with pytest.raises(StorageError, match="Is a directory"), cache.staging() as staging:
        staging.write_text("half")
    assert _entries(cache) == []


def test_a_killed_process_leaves_nothing(cache: Cache) -> None:
    """Its staging folder stays while it lives. After a kill the next eviction or start removes it."""
    folder = cache.root.parent
    code = f"""
from pathlib import Path
from service.repository.cache import Cache
with Cache(Path({str(folder)!r}), {_URL!r}).staging() as staging:
    (staging / "half").write_text("half")
    print(staging, flush=True)
    input()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        staging = Path(process.stdout.readline().strip())
        try:
            cache.evict([], [])
            Cache(folder, _URL)
            assert (staging / "half").exists()
        finally:
            process.kill()
        process.wait()
    assert staging.exists()
    Cache(folder, _URL)
    assert not staging.exists()


def test_what_is_served_stays_and_what_nobody_uses_goes(cache: Cache, clock: Clock) -> None:
    """An hour after a server last said that it serves it."""
    for version in (1, 2):
        _put(cache, "digits", version)
    listed = [("digits", 1), ("digits", 2)]
    for _ in range(3):
        clock.now += 1800
        cache.evict(listed, [("digits", 2)])
    assert list_models(cache.root) == [("digits", 2)]
    clock.now += 3601
    cache.evict([("digits", 3)], [])
    assert _entries(cache) == []


def test_what_was_withdrawn_goes_at_once(cache: Cache, clock: Clock) -> None:
    """Otherwise a start without storage would serve a withdrawn version. A version newer than the listing stays."""
    for version in (1, 2):
        _put(cache, "digits", version)
    clock.now += 61
    _put(cache, "digits", 3)
    cache.evict([("digits", 1)], [("digits", 1)])
    assert list_models(cache.root) == [("digits", 1), ("digits", 3)]


def test_a_model_that_is_gone_altogether_stays(cache: Cache, clock: Clock) -> None:
    """As it is served on: an emptied bucket may be a mistake."""
    _put(cache, "digits", 1)
    clock.now += 3000
    cache.evict([], [("digits", 1)])
    clock.now += 3000
    cache.evict([("other", 1)], [("digits", 1)])
    assert list_models(cache.root) == [("digits", 1)]


def test_addresses_do_not_mix(tmp_path: Path) -> None:
    """Each repository has its own folder, with a name from its address without the part before an @."""
    roots = {
        Cache(tmp_path, url).root
        for url in ("s3://a/b", "s3://a/b/c", "s3://a-b", "s3://a_b", "ftp://user:secret@host/b")
    }
    assert len(roots) == 5
    assert Cache(tmp_path, "s3://a/b/").root in roots
    assert not any("secret" in root.name for root in roots)


def test_a_disk_that_is_too_small(cache: Cache) -> None:
    """It is said before the download begins."""
    cache.room_for("model.onnx", 1)
    with pytest.raises(StorageError, match="less room"):
        cache.room_for("model.onnx", 2**60)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The server does not start, and says which folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="cache_folder"):
        Cache(tmp_path / "file", _URL)


def test_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By XDG_CACHE_HOME, else ~/.cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Cache(None, _URL).root.parent == tmp_path / "xdg" / "kan-serving"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache(None, _URL).root.parent == tmp_path / ".cache" / "kan-serving"


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a home, as in many containers; gives the folder of temporary files."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("named", [True, False])
def test_a_user_without_a_home(homeless: Path, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of this user's alone, among the temporary files; also for a number that no user has."""
    if not named:
        for name in ("XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    folder = Cache(None, _URL).root.parent
    assert folder == homeless / f"kan-serving-{os.geteuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert Cache(None, _URL).root.parent == folder


def test_a_folder_that_others_may_fill(homeless: Path) -> None:
    """Models in it could be anybody's."""
    folder = homeless / f"kan-serving-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StartupError, match="others"):
        Cache(None, _URL)
    folder.rmdir()
    folder.symlink_to(homeless)
    with pytest.raises(StartupError, match="cannot be written"):
        Cache(None, _URL)
