"""Where and when a benchmark was measured, as Markdown."""

import datetime
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def surroundings(command: str, packages: Sequence[str]) -> str:
    """Machine, load, versions of Python and the packages, date and command."""
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return (
        f"- Machine: {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}{load}\n"
        f"- Versions: Python {platform.python_version()}, {versions}\n"
        f"- Date: {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n"
        f"- Command: {command}\n"
    )


def _version(package: str) -> str:
    """A page may show what was measured where the package was there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _processor() -> str:
    """The processor's name from Linux, else the one that Python knows."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")
