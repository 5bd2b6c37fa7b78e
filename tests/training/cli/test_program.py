"""kan-train as a real process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.kit.server.kan_serve import serving
from training.cli import main

KAN_TRAIN = Path(sys.executable).with_name("kan-train")
ROOT = Path(__file__).parents[3]


def kan_train(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run([KAN_TRAIN, *arguments], cwd=folder, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_init_then_run_needs_no_edit(tmp_path: Path) -> None:
    """A table of one's own: two commands to a published model."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"id": range(300), "x": random.normal(0, 2, 300), "color": random.choice(["a", "b"], 300)})
    table["price"] = table["x"] ** 2 + (table["color"] == "a") * 3
    table.to_csv(tmp_path / "houses.csv", index=False)
    first = kan_train(tmp_path, "init", "houses.csv", "--target", "price")
    assert (first.returncode, first.stderr) == (0, "")
    assert "wrote houses.toml" in first.stdout
    assert first.stdout.startswith('left out: "id": an id by its name')
    second = kan_train(tmp_path, "run", "houses.toml")
    assert second.returncode == 0, second.stderr
    assert "published models/houses/1" in second.stdout
    assert re.search(
        r"verdict   R² 0\.9\d+ on 60 test rows \(one number alone: .*linear: .*boosted trees: ", second.stdout
    )
    assert "report    models/houses/1/report.html" in second.stdout
    assert "ask it    kan-client predict houses runs/houses/held_out.csv\n" in second.stdout
    assert (tmp_path / "runs" / "houses" / "held_out.csv").exists()
    again = kan_train(tmp_path, "init", "houses.csv", "--target", "price")
    assert again.returncode == 2
    assert "houses.toml" in again.stderr


@pytest.mark.slow
def test_a_table_as_it_is_goes_through_without_an_edit_and_every_row_is_answered(tmp_path: Path) -> None:
    """Gaps, rare and unseen words, many words, dates, shuffled row numbers, constants: init, run, serve, predict."""
    random = np.random.default_rng(0)
    day = pd.date_range("2023-01-01", periods=500)
    table = pd.DataFrame(
        {
            "nr": np.arange(500),
            "day": day.strftime("%d/%m/%Y"),
            "x": random.normal(0, 2, 500),
            "colour": random.choice(["a, b", 'c "d"', "e\nf"], 500),
            "street": [f"street {code}" for code in random.integers(0, 40, 500)],
            "same": 7,
            "word": "always",
            "late": random.normal(size=500),
            "bad": day.astype(str),
        }
    ).astype({"colour": object, "bad": object})
    table.loc[::9, ["x", "day", "street", "colour"]] = None
    table.loc[[3, 5], "colour"] = ["rare", "once"]
    table.loc[7, "bad"] = "soon"
    table["price"] = table["x"].fillna(5) ** 2 + (table["colour"] == "a, b") * 3 + day.month
    table.loc[::50, "price"] = np.nan
    table.sample(frac=1.0, random_state=0).to_csv(tmp_path / "houses.csv", index=False)
    first = kan_train(tmp_path, "init", "houses.csv", "--target", "price")
    assert (first.returncode, first.stderr) == (0, "")
    assert [line.split(": ")[1] for line in first.stdout.splitlines() if line.startswith("left out")] == [
        '"nr"',
        '"bad"',
    ]
    second = kan_train(tmp_path, "run", "houses.toml")
    assert second.returncode == 0, second.stderr
    served = table.assign(colour="new", late=None, street=None, same=8).drop(columns=["price", "nr"])
    served.to_csv(tmp_path / "served.csv", index=False)
    with serving(tmp_path / "models", log=tmp_path / "log") as server:
        command = [str(KAN_TRAIN.with_name("kan-client")), "predict", "houses", "served.csv", "--address", server.grpc]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert np.isfinite([float(line) for line in done.stdout.splitlines()[1:]]).all()
    assert len(done.stdout.splitlines()) == 501
    assert "500 cells of 1 column hold words that the model does not know" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["diabetes", "toy"])
def test_the_recipes_that_come_along_run(tmp_path: Path, recipe: str) -> None:
    """Each publishes a verified model; digits is trained and judged by tests/e2e/test_digits.py."""
    done = kan_train(tmp_path, "run", str(ROOT / "training" / "recipes" / f"{recipe}.toml"), "--models", "m")
    assert done.returncode == 0, done.stderr
    assert f"published m/{recipe}/1" in done.stdout


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_keeps_the_run_and_resume_finishes_it(
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    """The first Ctrl-C or SIGTERM says how to go on and exits with 130; --resume ends in a published model."""
    recipe = write_recipe(steps=250)
    process = subprocess.Popen(
        [KAN_TRAIN, "run", str(recipe)], cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stderr is not None
    assert "inputs" in process.stderr.readline()  # The table is read, the fit begins.
    process.stderr.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert (tmp_path / "runs" / "flowers" / "state.pt").exists()
    assert not (tmp_path / "models").exists()
    monkeypatch.chdir(tmp_path)  # The rest in this process, which has torch already.
    assert main(["run", str(recipe)]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["run", str(recipe), "--resume"]) == 0
    assert "published models/flowers/1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.toml"], "none.toml"),
        (["init", "none.csv", "--target", "x"], "none.csv"),
        (["init", "flowers.csv", "--target", "wieght"], "weight"),
        (["run", "flowers.toml", "--models", "flowers.csv"], "flowers.csv"),
        (["run", "flowers.csv"], "`kan-train init flowers.csv --target"),
        (["run", "absent.csv"], "absent.csv"),
        (
            ["init", "flowers.csv", "--target", "weight", "--output", "."],
            ".: this is a folder; wanted a file, such as fl",
        ),
        (["init", "flowers.csv", "--target", "weight", "--output", "no/r.toml"], "no/r.toml: there is no folder no;"),
        (["init", "flowers.csv", "--target", "weight", "--pairs", "3"], "--pairs 3: only with --additive"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    """One line, nothing published, no file half-written."""
    write_recipe()
    before = {path.name for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} - before <= {"runs"}


@pytest.mark.slow
def test_the_process_ends_with_the_code_and_no_traceback(tmp_path: Path) -> None:
    """What `main` returns is the exit code of kan-train, and standard error has the message alone."""
    done = kan_train(tmp_path, "run", "none.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kan-train: none.toml")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("count", ["101", "-1", "some"])
def test_a_number_of_pairs_that_cannot_be_is_told_at_once(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the table is read."""
    with pytest.raises(SystemExit) as ended:
        main(["init", "none.csv", "--target", "y", "--additive", f"--pairs={count}"])
    assert ended.value.code == 2
    assert f"argument --pairs: '{count}': wanted a number of pairs, from 0 to 100" in capsys.readouterr().err


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    """As kan-serve and kan-client print theirs."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"kan-train {version('kan-serving')}\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stratified", "strat", '[split] kind = "strat"'),
        ("height = 8", "height = 9", "1 × 9 × 8 (channels, height, width) is 72 values"),
        ("stride = 2", 'stride = 2\npool = "average"\npool_size = 3', "pool_size is 3 for 4 × 4 pixels"),
        ("channels = 16", "channels = 1000", f"{(64 * 512 + 512 * 16_000 + 16_000) * 8:,} coefficients"),
    ],
)
def test_a_mistake_in_a_recipe_is_told_before_torch_starts(old: str, new: str, message: str, tmp_path: Path) -> None:
    """A recipe is checked, its convolutions and their size too, before the imports that take seconds."""
    text = (ROOT / "training" / "recipes" / "digits-images.toml").read_text()
    assert old in text
    (tmp_path / "r.toml").write_text(text.replace(old, new))
    program = (
        "import sys; from training.cli import main; code = main(['run', 'r.toml']);"
        "print(code, *sorted({'torch', 'pandas', 'sklearn', 'onnxruntime'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "2\n"
    assert message in done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("formula", "no finished fit is kept here; wanted a folder runs/NAME"),
        ("tune", "no model version: wanted a folder models/NAME/VERSION"),
    ],
)
def test_a_wrong_folder_is_told_before_torch_starts(command: str, message: str, tmp_path: Path) -> None:
    """``kan-train formula flats``, where ``runs/flats`` was meant, and ``kan-train tune flats``."""
    program = (
        f"import sys; from training.cli import main; code = main([{command!r}, 'flats']);"
        "print(code, *sorted({'torch', 'pandas', 'sklearn', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "2\n"
    assert f"flats: {message}" in done.stderr


def test_the_command_starts_before_torch_does() -> None:
    """``kan-train --help`` loads neither torch nor pandas: it answers at once, and Ctrl-C meets no half-made import."""
    program = "import sys, training.cli; print(*sorted({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
