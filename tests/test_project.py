"""Files at the root of the repository agree with each other."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_commits_are_checked_as_make_check_does() -> None:
    """Each hook of pre-commit is a line of `make check`; only mypy has none. No hook is loaded from elsewhere."""
    [target] = re.findall(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    lines = target.replace("$(BIN)", ".venv/bin").split("\n\t")
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    hooks = [hook["entry"] for hook in repository["hooks"]]
    assert [line.strip() for line in lines if line.strip() != ".venv/bin/mypy"] == hooks


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    """CITATION.cff has pyproject.toml's version and licence, and the paper that KANs come from."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    [paper] = citation["references"]
    assert "2404.19756" in paper["doi"]
    assert paper["authors"][0]["family-names"] == "Liu"


def test_every_package_of_the_wheel_says_that_it_is_typed() -> None:
    """Without py.typed a caller's mypy ignores all annotations. tests/e2e/test_install.py lets mypy see them."""
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert len(packages) == 5
    assert all((ROOT / package / "py.typed").is_file() for package in packages)
