"""At most five runs on the reported half, each with a commit that holds what ran."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.tables.record import MOST_RUNS, PATH, RecordError, begin, clean_commit, end, holds, read


def test_sixth_run_is_refused(tmp_path: Path) -> None:
    """And leaves the record as it is; a run of code that is recorded goes on."""
    path = tmp_path / "runs.json"
    for number in range(MOST_RUNS):
        begin(path, f"commit {number}", f"code {number}")
    before = read(path)
    assert [run["run"] for run in before] == [1, 2, 3, 4, 5]
    with pytest.raises(RecordError, match="5"):
        begin(path, "commit 6", "code 6")
    begin(path, "commit 3", "code 3")
    assert read(path) == before


def test_numbers_go_to_the_run_of_their_code(tmp_path: Path) -> None:
    """Once they are there; a run that was stopped has none."""
    path = tmp_path / "runs.json"
    begin(path, "one", "code 1")
    begin(path, "two", "code 2")
    end(path, "code 1", {"mean rank": 2.5})
    assert [run["found"] for run in read(path)] == [{"mean rank": 2.5}, {}]
    assert holds(path, "code 2")
    assert not holds(path, "code 3")


def test_committed_record_is_within_the_bound() -> None:
    """And each run has a commit."""
    runs = read(PATH)
    assert len(runs) <= MOST_RUNS
    assert all(run["commit"] for run in runs)


def test_only_committed_code_runs(tmp_path: Path) -> None:
    """A change in one of the folders is refused; a change elsewhere is not; no checkout at all is refused."""
    with pytest.raises(RecordError, match="git"):
        clean_commit(tmp_path, ["training"])
    source = tmp_path / "training" / "fit.py"
    source.parent.mkdir()
    source.write_text("rate = 1")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "note.txt").write_text("not code")
    assert len(clean_commit(tmp_path, ["training"])) == 40
    source.write_text("rate = 2")
    with pytest.raises(RecordError, match=r"fit\.py"):
        clean_commit(tmp_path, ["training"])
