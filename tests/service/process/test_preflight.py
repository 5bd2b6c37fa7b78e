"""The check before a start: it tells all that a start would not find, and starts nothing."""

import asyncio
import importlib.util
import re
from pathlib import Path

import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from service.cli import main
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import loaded_registry
from tests.kit.server.certificates import Authority

pytestmark = pytest.mark.usefixtures("logging_restored")

_TOKENS = f'[tokens.checkout]\nsha256 = "{64 * "0"}"\n'


@pytest.fixture
def repository(models: Path, write_model: WriteModel) -> Path:
    """A model repository that holds one version."""
    write_model("affine")
    return models


@pytest.fixture
def named(tmp_path: Path, repository: Path) -> dict[str, str]:
    """Settings whose files are all there and right: a certificate, its key, an authority, tokens, a repository."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    (tmp_path / "tokens.toml").write_text(_TOKENS)
    found = {"models": repository, "tls_cert": pair.cert, "tls_key": pair.key, "tls_client_ca": authority.file}
    found |= {"tokens": tmp_path / "tokens.toml", "access_log": tmp_path / "new.log"}
    return {name: str(path) for name, path in found.items()}


def _write(folder: Path, named: dict[str, str]) -> list[str]:
    """Flags for a settings file that has the values on the lines 2, 3, …."""
    file = folder / "kan-serve.toml"
    file.write_text("[server]\n" + "".join(f"{name} = '{value}'\n" for name, value in named.items()))
    return ["--config", str(file)]


def test_what_is_right_is_ok(tmp_path: Path, named: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and one line that says so; the access log is not made by it."""
    assert main(["--check-config", *_write(tmp_path, named)]) == 0
    assert capsys.readouterr().err == "kan-serve: ok: the settings fit, and what they name is there\n"
    assert not Path(named["access_log"]).exists()


def test_all_that_is_absent_is_told_at_once(
    tmp_path: Path, named: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each setting, with its place, the path, and what was wanted; exit code 2, as of other mistakes."""
    away = {name: f"{tmp_path}/away/{name}" for name in named}
    flags = _write(tmp_path, away)
    assert main(["--check-config", *flags]) == 2
    told = sorted(line.removeprefix("kan-serve: ").split(": ", 2) for line in capsys.readouterr().err.splitlines())
    assert [(place, name) for place, name, _ in told] == [
        (f"{flags[1]}:{line}", name) for line, name in enumerate(away, start=2)
    ]
    for _, name, reason in told:
        assert repr(away[name]) in reason
        assert "; wanted " in reason or "; make it first" in reason
    assert main(["--check-config", "settings", *flags]) == 0
    assert capsys.readouterr().err.startswith("kan-serve: ok: ")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("tls_cert", b"no PEM", "tls_cert and tls_key: certificates .*: the certificate and the key are no pair"),
        (
            "tls_cert",
            b"-----BEGIN CERTIFICATE REQUEST-----\nMII=\n",
            "tls_cert and tls_key: .*'[^']*' holds no certificate",
        ),
        ("tls_key", None, "tls_cert and tls_key: certificates .*: the certificate and the key are no pair"),
        ("tls_client_ca", b"no PEM", "tls_client_ca: '.*' holds no certificate of an authority"),
        ("tokens", b"[tokens.checkout]\n", "tokens: token file .*: token 'checkout': sha256 should be 64 digits"),
        ("tokens", f'{_TOKENS}methods = ["Predikt"]\n'.encode(), "tokens: .*did you mean Predict"),
    ],
)
def test_a_file_that_a_start_refuses_is_told(
    tmp_path: Path,
    named: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    told: str,
) -> None:
    """The check says on one line what ends the start: files that do not fit together, or cannot be parsed."""
    if content is None:
        named[name] = str(Authority(tmp_path / "other").issue("other").key)
    else:
        Path(named[name]).write_bytes(content)
    flags = _write(tmp_path, named)
    assert main(["--check-config", *flags]) == 2
    [line] = capsys.readouterr().err.splitlines()
    place, reason = line.split(": ", 2)[1:]
    assert place == f"{flags[1]}:{2 + list(named).index('tls_cert' if 'tls_cert' in told else name)}"
    assert re.match(told, reason)
    assert main(["--grpc-port", "0", "--http-port", "0", *flags]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith(reason.rpartition("): ")[2].removeprefix(f"{name}: "))


@pytest.mark.parametrize("name", ["models", "access_log"])
def test_a_folder_for_a_file_and_a_file_for_a_folder(
    tmp_path: Path, named: dict[str, str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The check and the start refuse both."""
    named[name] = named["tokens"] if name == "models" else str(tmp_path)
    flags = _write(tmp_path, named)
    assert main(["--check-config", *flags]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f": {name}: " in line
    assert repr(named[name]) in line
    assert main(["--grpc-port", "0", "--http-port", "0", *flags]) == 1


def test_relative_paths_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They begin at the folder of the command and not at that of the file, so the last line names it."""
    monkeypatch.chdir(tmp_path)
    assert main(["--check-config", "--models", str(repository), "--tokens", "etc/tokens.toml"]) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("kan-serve: flag --tokens: tokens: token file: 'etc/tokens.toml' cannot be read: No such")
    assert last == f"kan-serve: relative paths begin at the folder of this command, {str(tmp_path)!r}"


def test_a_folder_without_a_version_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server starts on it and waits for a model."""
    assert main(["--check-config", "--models", str(tmp_path)]) == 0
    warning, ok = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"kan-serve: warning: no model would answer: {str(tmp_path)!r} holds nothing")
    assert ok.startswith("kan-serve: ok: ")


def test_a_selected_version_that_is_absent_is_a_warning(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a model that is there, with the versions that are there, and of one that is misspelt. A server starts."""
    versions = "latest,affine=99,afine=1"
    assert main(["--check-config", "--models", str(repository), "--versions", versions]) == 0
    first, second, ok = capsys.readouterr().err.splitlines()
    which = "model affine: version 99, which the settings select, is not in the repository; there is 1"
    assert first == f"kan-serve: warning: {which}; the model does not answer"
    which = "model afine: version 1, which the settings select, is not in the repository; no version of this model"
    assert second == f"kan-serve: warning: {which} is there; the model does not answer"
    assert ok.startswith("kan-serve: ok: ")


def test_a_version_that_fits_into_no_message_is_a_warning(
    models: Path, write_model: WriteModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason for which a start refuses it. Nothing is told of an older version that a start does not load."""

    def grow(manifest: ModelManifest) -> None:
        manifest.formula = "x" * 2000

    for version in (1, 3):
        write_model("affine", version, change=grow)
    write_model("affine", 2)
    flags = ["--check-config", "--models", str(models)]
    assert main([*flags, "--max-message-bytes", "2000"]) == 0
    warning, ok = capsys.readouterr().err.splitlines()
    assert ok.startswith("kan-serve: ok: ")

    async def refused() -> dict[int, str]:
        async with loaded_registry(Settings(models=models, max_message_bytes=2000)) as registry:
            return {status.version: status.reason for status in registry.statuses() if not status.answers}

    found = asyncio.run(refused())
    assert list(found) == [3]
    assert re.fullmatch(r"the manifest, .* takes \d+ bytes of a message, --max-message-bytes allows 2000", found[3])
    assert warning == f"kan-serve: warning: model affine version 3 would be refused: {found[3]}"

    assert main([*flags, "--max-message-bytes", "3000"]) == 0
    assert capsys.readouterr().err.startswith("kan-serve: ok: ")


@pytest.mark.parametrize(("days", "said"), [(-1, "expired on "), (1, "ends on ")])
def test_a_certificate_that_has_expired_or_ends_soon_is_a_warning(
    tmp_path: Path, named: dict[str, str], capsys: pytest.CaptureFixture[str], days: int, said: str
) -> None:
    """A server starts with it too."""
    pair = Authority(tmp_path).issue("old", days=days)
    assert (
        main(["--check-config", *_write(tmp_path, {**named, "tls_cert": str(pair.cert), "tls_key": str(pair.key)})])
        == 0
    )
    warning, ok = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"kan-serve: warning: the certificate of the gRPC port {said}")
    assert ok.startswith("kan-serve: ok: ")


def test_object_storage_is_not_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line says so. Its cache is not made either; a file in the place of its folder is told."""
    cache = tmp_path / "cache"
    flags = ["--check-config", "--models", f"file://{tmp_path}/away", "--cache-folder"]
    assert main([*flags, str(cache)]) == 0
    assert capsys.readouterr().err == "kan-serve: ok: the settings fit; object storage is not asked\n"
    assert not cache.exists()
    cache.touch()
    assert main([*flags, str(cache / "kan")]) == 2
    assert "cache_folder: cache folder" in capsys.readouterr().err


def test_a_package_that_is_absent_is_told(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Envoy front end without its extra, and an address of traces that is none."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyvoy" else found(name))
    flags = ["--models", str(repository), "--frontend", "envoy", "--trace-endpoint", "ftp://x"]
    assert main(["--check-config", *flags]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("kan-serve: flag --frontend: frontend: the Envoy front end needs the extra [envoy]")
    assert second.startswith("kan-serve: flag --trace-endpoint: trace_endpoint: ")
