"""The walk of docs/why.md does what it shows: its code runs block by block, with each front end, over real sockets."""

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.kit.models.digits import BIN
from tests.kit.server.kan_serve import FRONTENDS, get
from tests.kit.server.programs import find_program, free_ports, running
from tests.kit.server.quick_rules import TICK, write_quick_rules
from tests.kit.waiting import wait_for

# It trains two networks, then walks twice.
pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
# Programs that stay, each in a terminal of its own, and the words in their output that say they are ready.
_READY = {"kan-serve": "kan-serve ready: ", "prometheus": "Server is ready to receive web requests"}
# Asks for what Prometheus finds out some time after it happened.
_AWAITED = {"promtool"}
_TRAINING = "Train and serve"
_ONE_INDEX = re.compile(r'^kan_model_column_psi\{column="(\w+)".*\} (\S+)$', flags=re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Code of the page, and the lines that the page shows below it."""

    heading: str
    language: str
    code: str
    shown: str | None

    @property
    def program(self) -> str:
        """The first word: the program, where one command is the block."""
        return self.code.split()[0]


def blocks() -> list[Block]:
    """Those of shell and Python, in order. The two lines that install are in a fence without a language."""
    text = (ROOT / "docs" / "why.md").read_text()
    pattern = r"^## (.*?)$|^```(sh|python)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?"
    found, heading = [], ""
    for part in re.finditer(pattern, text, flags=re.MULTILINE | re.DOTALL):
        title, language, code, shown = part.groups()
        heading = title or heading
        if code:
            found.append(Block(heading, language, code, shown))
    return found


def forms(text: str) -> Counter[str]:
    """The lines, with # for each number alone, and one form for each term of an explanation.

    The digits of a number depend on the machine: float32 training takes another path on another processor. So do the
    order and the signs of contributions that are nearly equal or small.
    """
    numbers = re.sub(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?", "#", text)
    terms = re.sub(r"[+−] # \(\w+(?: #)?\)", "± # (column)", numbers)
    return Counter(" ".join(line.split()) for line in terms.splitlines() if line.strip())


def indexes(output: str) -> dict[str, float]:
    """The population stability index by column."""
    return {column: float(index) for column, index in _ONE_INDEX.findall(output)}


@dataclass
class Walk:
    """Terminals in a clone: runs blocks, with free ports in place of those of the page."""

    clone: Path
    logs: Path
    environment: dict[str, str] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=dict)

    def run(self, block: Block) -> str:
        """Both outputs of a block that ends; it must succeed."""
        command = {"sh": ["bash", "-euc"], "python": ["python", "-W", "error", "-c"]}[block.language]
        done = subprocess.run(
            [*command, self._placed(block.code)],
            cwd=self.clone,
            env={**os.environ, **self.environment, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{block.code}\n{done.stdout}"
        return done.stdout

    def start(self, block: Block, terminals: ExitStack) -> None:
        """Start a program that stays until the terminals close."""
        program, *arguments = shlex.split(self._placed(block.code))
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        path = find_program(program) if program == "prometheus" else BIN / program
        command = ("env", "-C", self.clone, *environment, path, *arguments)
        line_with = terminals.enter_context(running(*command, log=self.logs / f"{program}.log"))
        line_with(_READY[program])
        if program == "prometheus":
            # Its targets come some seconds after it is ready, and rates need a scrape before the rows.
            wait_for(self._has_scraped, "a scrape")

    def _has_scraped(self) -> bool:
        _, answer = get(f"127.0.0.1:{self.ports['9090']}", "/api/v1/query?query=kan_model_column_rows_total")
        return '"value"' in answer

    def _placed(self, code: str) -> str:
        for port, free in self.ports.items():
            code = code.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
        return code.replace("_interval: 15s", f"_interval: {TICK}")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone has and the page uses, with quick rules; the page's first block has trained its models."""
    find_program("prometheus")
    folder = tmp_path_factory.mktemp("clone")
    (folder / "training").symlink_to(ROOT / "training")
    write_quick_rules(folder / "deploy" / "prometheus" / "rules")
    training = blocks()[0]
    assert training.heading == _TRAINING
    assert "published models/diabetes/1" in Walk(folder, folder).run(training)
    return folder


@pytest.fixture(params=FRONTENDS)
def walk(clone: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Walk:
    """Terminals for a server with one front end, in a copy of the clone: a Prometheus must not find another's data."""
    copy = shutil.copytree(clone, tmp_path / "clone", symlinks=True)
    grpc, http, prometheus = (str(port) for port in free_ports(3))
    environment = {
        "KAN_ADDRESS": f"127.0.0.1:{grpc}",
        "KAN_FRONTEND": request.param,
        "KAN_GRPC_PORT": grpc,
        "KAN_HTTP_PORT": http,
    }
    return Walk(copy, tmp_path, environment, {"8001": grpc, "8002": http, "9090": prometheus})


def test_the_page_is_a_walk(walk: Walk) -> None:
    """Predict, ask why, send a row from nowhere, shift the data, be alerted by the column's name, read the formula.

    Each block's output holds the lines that the page shows, but for the digits of numbers. Prometheus looks every
    250 ms at windows of seconds. Before the shift all indexes are below 0.1; after it only that of the shifted column
    is above 0.25, and the alert names it alone.
    """
    told: dict[str, list[str]] = {}
    with ExitStack() as terminals:
        for block in blocks()[1:]:
            if block.program in _READY:
                walk.start(block, terminals)
                continue
            output = (
                wait_for(partial(_shown, walk, block), block.code) if block.program in _AWAITED else walk.run(block)
            )
            assert not _absent(block, output), f"{block.code}\n{output}"
            told.setdefault(block.heading, []).append(output)
    assert re.search(r"= \S+ [+−] \S+ \(age 500\)", told["Send a row from nowhere"][-1])
    before, after = filter(None, map(indexes, told["Shift the data"]))
    assert len(before) == 10
    assert max(before.values()) < 0.1
    assert after.keys() == {"bmi"}
    [alerts] = told["Be alerted"]
    assert re.findall(r'column="(\w+)"', alerts) == ["bmi"]


def _shown(walk: Walk, block: Block) -> str:
    """The output, once it shows what the page shows."""
    output = walk.run(block)
    return "" if _absent(block, output) else output


def _absent(block: Block, output: str) -> Counter[str]:
    """Lines that the page shows and the output does not hold."""
    return forms(block.shown or "") - forms(output)
