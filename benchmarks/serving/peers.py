"""Install the peers of the serving benchmark, each in its own environment: ``python -m benchmarks.serving.peers``.

The environments are in build/peers, which git ignores. The peers are not dependencies of this project.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "build" / "peers"
_REQUIREMENTS = {
    "mlserver": ("mlserver>=1.6,<2", "onnxruntime>=1.20", "uvloop>=0.19"),
    "kserve": ("kserve>=0.14,<1", "onnxruntime>=1.20"),
    "pytriton": ("nvidia-pytriton>=0.5.10,<1", "onnxruntime>=1.20"),
}
_PACKAGES = {"mlserver": "mlserver", "kserve": "kserve", "pytriton": "nvidia-pytriton"}
_INSTALL_SECONDS = 600.0


def main() -> None:
    """Install the missing peers and print where each one is."""
    set_up()
    for name in _REQUIREMENTS:
        print(f"{name}: {peers().get(name, 'cannot be installed here')}")


def set_up() -> None:
    """Install the missing peers; one that cannot be installed is reported and left out."""
    for name, requirements in _REQUIREMENTS.items():
        if _stamp(name).exists() and _stamp(name).read_text("utf-8") == "\n".join(requirements):
            continue
        print(f"installing {' '.join(requirements)} for the comparison …", flush=True)
        shutil.rmtree(_FOLDER / name, ignore_errors=True)
        venv.create(_FOLDER / name, with_pip=True, symlinks=True)
        command = [str(_python(name)), "-m", "pip", "install", "--quiet", *requirements]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
            failure = None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        except subprocess.TimeoutExpired:
            failure = f"not installed after {_INSTALL_SECONDS:g} s"
        if failure is None:
            _stamp(name).write_text("\n".join(requirements), "utf-8")
        else:
            print(f"{name} cannot be installed and is left out: {failure}", file=sys.stderr)


def peers() -> dict[str, Path]:
    """The Python interpreter of each installed peer, by name."""
    return {name: _python(name) for name in _REQUIREMENTS if _stamp(name).exists()}


def version(name: str) -> str:
    """The version of an installed peer."""
    script = f"import importlib.metadata; print(importlib.metadata.version('{_PACKAGES[name]}'))"
    return subprocess.run([_python(name), "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def _python(name: str) -> Path:
    return _FOLDER / name / "bin" / "python"


def _stamp(name: str) -> Path:
    return _FOLDER / name / ".installed"


if __name__ == "__main__":
    main()
