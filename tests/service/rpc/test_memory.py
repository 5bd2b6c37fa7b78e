"""The bound on a server's memory, and the limit of its container."""

import re
from pathlib import Path

import pytest
import yaml

from service.rpc.memory import container_limit_bytes, linger_room_bytes, most_bytes, resident_bytes
from service.settings import Settings


@pytest.mark.parametrize("frontend", ["grpcio", "envoy"])
@pytest.mark.parametrize(
    ("more", "at_least_bytes"),
    [
        ({"max_inflight_bytes": 2**30}, 3 * (2**30 - 48 * 2**20)),
        ({"max_calls": 4096}, 3072 * 128 * 1024),
        ({"models": "s3://bucket"}, 2**20),
    ],
)
def test_each_bound_counts(frontend: str, more: dict[str, object], at_least_bytes: int) -> None:
    """A setting that lets the server hold more raises the bound by as much as it lets it hold."""
    default, raised = (
        Settings.model_validate({"frontend": frontend}),
        Settings.model_validate({"frontend": frontend, **more}),
    )
    assert most_bytes(raised) - most_bytes(default) >= at_least_bytes


@pytest.mark.parametrize("frontend", ["grpcio", "envoy"])
def test_each_worker_counts(frontend: str) -> None:
    """Three workers take three times as much and their parent; each of them has a third of the room to linger."""
    one, three = (Settings.model_validate({"frontend": frontend, "workers": count}) for count in (1, 3))
    parent_bytes = most_bytes(three, 100) - 3 * most_bytes(one, 100)
    assert 0 < parent_bytes < 2**27
    assert linger_room_bytes(three, None, 0) == three.linger_bytes // 3
    limit_bytes = most_bytes(three) + 3 * 2**20
    assert linger_room_bytes(three, limit_bytes, 0) == 2**20
    assert linger_room_bytes(three, most_bytes(three), 0) == 0


def test_models_count() -> None:
    """Bytes of files that are loaded are in it, more than once."""
    assert most_bytes(Settings(), 100) - most_bytes(Settings()) >= 2 * 100


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"memory.max": "max\n"}, None),
        ({"memory.max": "536870912\n"}, 2**29),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"memory/memory.limit_in_bytes": "1073741824\n"}, 2**30),
    ],
)
def test_the_containers_limit(files: dict[str, str], limit: int | None, tmp_path: Path) -> None:
    """The limit in control groups version 2 or 1; None without one."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert container_limit_bytes(tmp_path) == limit


def test_superseded_versions_take_what_the_container_has_left() -> None:
    """At most linger_bytes, at most the rest beside the bound, and nothing if the bound is above the limit."""
    settings = Settings(linger_bytes=1000)
    most = most_bytes(settings, 50)
    rooms = {left: linger_room_bytes(settings, most + left, 50) for left in (-1, 0, 999, 1001)}
    assert rooms == {-1: 0, 0: 0, 999: 999, 1001: 1000}
    assert linger_room_bytes(settings, None, 50) == 1000


def test_the_memory_of_this_process() -> None:
    """The memory as the system reports it, in bytes."""
    kib = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    resident = resident_bytes()
    assert kib is not None
    assert resident is not None
    assert 0.5 < resident / (1024 * int(kib[1])) < 2


_DEPLOY = Path(__file__).parents[3] / "deploy"
_MODEL_BYTES = 48 * 10**6


@pytest.mark.parametrize("frontend", ["grpcio", "envoy"])
@pytest.mark.parametrize(
    ("file", "way"),
    [
        ("compose.yaml", ("services", "kan-serve", "deploy", "resources")),
        ("compose.gpu.yaml", ("services", "kan-serve", "deploy", "resources")),
        ("kubernetes/base/deployment.yaml", ("spec", "template", "spec", "containers", 0, "resources")),
        ("kubernetes/kserve/servingruntime.yaml", ("spec", "containers", 0, "resources")),
        ("kubernetes/helm/values.yaml", ("resources",)),
        ("kubernetes/helm/values-gpu.yaml", ("resources",)),
    ],
)
def test_the_limits_that_are_deployed(file: str, way: tuple[str | int, ...], frontend: str) -> None:
    """The containers have the formula's memory for the default settings, 48 MB of models, and lingering versions."""
    found = yaml.safe_load((_DEPLOY / file).read_text())
    for step in (*way, "limits", "memory"):
        found = found[step]
    number, unit = re.fullmatch(r"(\d+)(m|g|Mi|Gi)", found).groups()  # type: ignore[union-attr]
    limit = int(number) * {"m": 2**20, "g": 2**30}[unit[0].lower()]
    settings = Settings.model_validate({"frontend": frontend})
    assert most_bytes(settings, _MODEL_BYTES) + settings.linger_bytes <= limit


def test_the_formula_is_told_as_it_is() -> None:
    """docs/operations.md has the numbers that the code computes."""
    text = (_DEPLOY.parent / "docs/operations.md").read_text()
    told = [
        f"{most_bytes(Settings.model_validate({'frontend': frontend})) // 2**20:,} MiB"
        for frontend in ("grpcio", "envoy")
    ]
    assert f"| at the defaults, without models | {told[0]} | {told[1]} |" in text
