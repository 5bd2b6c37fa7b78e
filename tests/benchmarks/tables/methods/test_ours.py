"""Ours goes by its commands; one row that is refused leaves the others answered."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tables.methods.ours import CommandError, ask, read_answers, tidy, train
from benchmarks.tables.splits import Split


def test_answers_are_read_from_the_columns_of_the_classes() -> None:
    """In the order that is asked for, not that of the file; an empty cell is NaN."""
    text = "species,probability_a,probability_b\na,0.75,0.25\n,,\n"
    np.testing.assert_equal(read_answers(text, ["b", "a"]), [[0.25, 0.75], [np.nan, np.nan]])
    np.testing.assert_equal(read_answers("price\n1.5\n2\n", None), [[1.5], [2]])


@pytest.mark.slow
def test_one_refused_row_stays_unanswered(tmp_path: Path, split: Split) -> None:
    """Its number is a word; the rows around it are answered well, and the graph is kept."""
    lines = split.test.read_text().splitlines()
    split.test.write_text("\n".join([*lines[:20], "much,a,0", *lines[20:]]) + "\n")
    train(split.train, "target", tmp_path / "kept")
    answers, _ = ask(tmp_path / "kept", "small", split.test, None)
    assert np.flatnonzero(np.isnan(answers[:, 0])).tolist() == [19]
    truth = np.array([float(line.split(",")[-1]) for line in lines[1:]])
    assert np.abs(np.delete(answers[:, 0], 19) - truth).max() < 0.2
    tidy(tmp_path / "kept")
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"model.onnx", "manifest.json", "small.toml"} <= kept
    assert not kept & {"models", "runs", "small.csv"}


@pytest.mark.slow
def test_a_command_that_fails_says_what_it_printed(tmp_path: Path, split: Split) -> None:
    """A target that the table lacks ends kan-train init."""
    with pytest.raises(CommandError, match="init"):
        train(split.train, "price", tmp_path / "kept")
