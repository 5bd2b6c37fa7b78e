"""The code of docs/kan.md runs, prints the output shown there, and makes the pictures shown there."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "kan.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
PICTURES = re.findall(r"!\[[^]]+\]\((pictures/[\w.]+)\)", TEXT)
PROGRAMS = Path(sys.executable).parent
COMMANDS = [
    [str(PROGRAMS / program), *arguments]
    for language, block in BLOCKS
    if language == "sh"
    for program, *arguments in map(str.split, block.splitlines())
]
BREAK = "--- next block ---\n"
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")
# Errors at the end of a fit hang on the machine's rounding: 15 % apart with targets changed by 1e-12 of themselves.
LOOSE, CLOSE = (0.5, 1e-4), (0.01, 0.0)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def run(command: list[str], folder: Path) -> str:
    """What the command prints in this folder."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=900,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder where all Python blocks ran, one after the other, and what each printed."""
    folder = tmp_path_factory.mktemp("walk")
    code = [block for language, block in BLOCKS if language == "python"]
    (folder / "walk.py").write_text(f"\nprint({BREAK!r}, end='')\n".join(code))
    return folder, run([sys.executable, "walk.py"], folder).split(BREAK)


def shown() -> list[str]:
    """What stands below each Python block; nothing where it prints nothing."""
    found = []
    for language, block in BLOCKS:
        if language == "python":
            found.append("")
        elif language == "text":
            found[-1] = block
    return found


def test_prints_what_is_shown(walk: tuple[Path, list[str]]) -> None:
    """Words, whole numbers and answers are equal; numbers with a point within 1 %, errors of fits within half."""
    printed = walk[1]
    assert len(printed) == len(shown()) > 1
    for has, wanted in zip(printed, shown(), strict=True):
        assert len(has.splitlines()) == len(wanted.splitlines()), has
        for line, expected in zip(has.splitlines(), wanted.splitlines(), strict=True):
            assert NUMBER.sub("#", line) == NUMBER.sub("#", expected)
            relative, absolute = LOOSE if re.search("intervals:|held-out rows:", expected) else CLOSE
            numbers = [float(number) for number in NUMBER.findall(line)]
            truth = [float(number) for number in NUMBER.findall(expected)]
            assert numbers == pytest.approx(truth, rel=relative, abs=absolute)


def questions() -> list[ast.expr]:
    """What Python blocks print that is true or false: comparisons, and whether numbers are close."""
    printed = [
        argument
        for language, block in BLOCKS
        if language == "python"
        for call in ast.walk(ast.parse(block))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
        for argument in call.args
    ]
    return [each for each in printed if isinstance(each, ast.Compare) or ".allclose(" in ast.unparse(each)]


def test_no_answer_is_no(walk: tuple[Path, list[str]]) -> None:
    """Each question that the walk asks is answered by what it computed, with yes; the page shows the same answers."""
    yes = ["True"] * len(questions())
    assert len(yes) >= 10
    for answers in (walk[1], shown()):
        assert re.findall("True|False", "".join(answers)) == yes


def test_pictures(walk: tuple[Path, list[str]]) -> None:
    """Each picture shown is one that the code makes, of the same size in pixels, and all are shown; 300 kB at most."""
    folder = walk[0]
    assert sorted(PICTURES) == sorted(f"pictures/{path.name}" for path in folder.glob("*.png"))
    kept = [path.name for path in (DOCS / "pictures").iterdir() if path.is_file()]
    assert sorted(kept) == sorted(Path(each).name for each in PICTURES)
    for picture in PICTURES:
        kept, made = (DOCS / picture).read_bytes(), (folder / Path(picture).name).read_bytes()
        # The header of a PNG: its signature, the name of the first block, width and height.
        assert kept[:24] == made[:24]
        assert kept.startswith(b"\x89PNG")
    assert sum((DOCS / picture).stat().st_size for picture in PICTURES) < 300_000


def test_imports(walk: tuple[Path, list[str]]) -> None:
    """Both networks become versions with a report; that of pykan is scored on both tables, the other on none."""
    folder = walk[0]
    for command in COMMANDS[:-1]:
        assert "published models/" in run(command, folder)
    for name, parts in (("theirs", {"train", "test"}), ("taken", set())):
        version = folder / "models" / name / "1"
        assert f"<title>{name}" in (version / "report.html").read_text()
        metrics = json.loads((version / "manifest.json").read_text()).get("metrics", {})
        assert {metric.split("_")[0] for metric in metrics} == parts


def test_recipe(walk: tuple[Path, list[str]]) -> None:
    """The recipe publishes a version of the table that the walk wrote, with a report, as good as the walk's own."""
    folder = walk[0]
    [recipe] = [block for language, block in BLOCKS if language == "toml"]
    (folder / "signal.toml").write_text(recipe)
    assert "published models/signal/1" in run(COMMANDS[-1], folder)
    version = folder / "models" / "signal" / "1"
    assert "<title>signal" in (version / "report.html").read_text()
    assert json.loads((version / "manifest.json").read_text())["metrics"]["test_r2"] > 0.999


def test_links() -> None:
    """Files that the page links to are there."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TEXT)
    assert links
    assert all((DOCS / link).exists() for link in links)
