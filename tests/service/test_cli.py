import json
import re
import socket
from pathlib import Path

import pytest

from service.cli import main
from service.settings import FLAGS
from service.settings.groups import GROUPS

pytestmark = pytest.mark.usefixtures("logging_restored")


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--grpc-port", "x"], "--grpc-port (or KAN_GRPC_PORT) is 'x'"),
        (["--grpc-port", "70000"], "--grpc-port (or KAN_GRPC_PORT) is '70000'"),
        (["--provider", "tpu"], "--provider (or KAN_PROVIDER) is 'tpu'"),
        (["--max-queue-rows", "9"], "max_request_rows is 4096"),
        (["--workers", "0"], "--workers (or KAN_WORKERS) is '0': wanted at least 1, or 'auto'"),
        (["--workers", "many"], "--workers (or KAN_WORKERS) is 'many': wanted a whole number, or 'auto'"),
        (["--grace-seconds", "x"], "--grace-seconds (or KAN_GRACE_SECONDS) is 'x': wanted a number"),
        (["--drift", "yes"], "--drift (or KAN_DRIFT) is 'yes': wanted 'on' or 'off'"),
        (["--host", ""], "--host (or KAN_HOST) is '': wanted text that is not empty"),
        (
            ["--grpc-port", "9001", "--http-port", "9001"],
            "grpc_port and http_port are both 9001: wanted a port for each, or 0 for a free one",
        ),
    ],
)
def test_a_bad_value_is_one_line_and_2(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A setting that does not fit ends with exit code 2 and one line that names it."""
    assert main(flags) == 2
    lines = _lines(capsys)
    assert len(lines) == 1
    assert lines[0].startswith(f"kan-serve: {message}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tokns", "tokens.toml"], "unrecognized arguments: --tokns; did you mean --tokens?"),
        (["--max-queue-row=9"], "unrecognized arguments: --max-queue-row; did you mean --max-queue-rows?"),
        (["--port", "9"], "unrecognized arguments: --port; did you mean --grpc-port or --http-port?"),
        (["--zzz"], "unrecognized arguments: --zzz; kan-serve --help lists the flags"),
        (["models"], "unrecognized arguments: models; did you mean --models?"),
    ],
)
def test_an_unknown_flag_is_told_the_nearest(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage and exit code 2, and not the value, which may be a secret."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert _lines(capsys)[-1] == f"kan-serve: error: {message}"


def test_a_bad_variable_is_one_line_and_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error in an environment variable is reported like one in a flag."""
    monkeypatch.setenv("KAN_HTTP_PORT", "-1")
    assert main([]) == 2
    assert _lines(capsys)[0].startswith("kan-serve: --http-port (or KAN_HTTP_PORT) is '-1'")


def test_a_misspelt_variable_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The start and --check-config name it and the nearest setting; the server starts all the same."""
    monkeypatch.setenv("KAN_MAX_BATCH_ROW", "3")
    assert main(["--check-config", "settings"]) == 0
    told = "environment variables that set nothing: KAN_MAX_BATCH_ROW (did you mean KAN_MAX_BATCH_ROWS?)"
    assert capsys.readouterr().err.splitlines()[0] == f"kan-serve: warning: {told}"
    assert main(["--models", str(tmp_path / "absent"), "--grpc-port", "0", "--http-port", "0"]) == 1
    assert _lines(capsys)[0].endswith(f"WARNING {told}")


@pytest.mark.parametrize("flags", [["--grpc", "1"], ["--nothing"], ["digits"]])
def test_an_unknown_flag_is_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown and shortened flags are refused."""
    with pytest.raises(SystemExit) as caught:
        main(flags)
    assert caught.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_every_setting_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """--help lists each setting with its default."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in FLAGS.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.default in (None, "") or f"(default: {field.default})" in text
    assert "(default: )" not in text
    assert "(default: None)" not in text


def test_a_missing_folder_is_one_line_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A models folder that is absent ends with exit code 1 and its name."""
    folder = tmp_path / "absent"
    assert main(["--models", str(folder), "--grpc-port", "0", "--http-port", "0"]) == 1
    assert str(folder) in _lines(capsys)[-1]


def test_the_last_line_is_json_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With a JSON log, the reason why the server cannot start is one line of it."""
    flags = ["--models", str(tmp_path / "absent"), "--grpc-port", "0", "--http-port", "0", "--log-format", "json"]
    assert main(flags) == 1
    last = json.loads(_lines(capfd)[-1])
    assert (last["level"], str(tmp_path / "absent") in last["message"]) == ("CRITICAL", True)


@pytest.mark.parametrize("flag", ["--grpc-port", "--http-port"])
def test_a_taken_port_is_one_line_and_1(models: Path, flag: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A port in use gives exit code 1 and one line, which names the flag of another port, also in gRPC's own check."""
    other = "--http-port" if flag == "--grpc-port" else "--grpc-port"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--models", str(models), flag, str(port), other, "0"]) == 1
    lines = _lines(capfd)
    assert len(lines) == 1
    assert f"127.0.0.1:{port}: Address already in use; wanted a free port: choose one with {flag}" in lines[0]


def test_help_is_grouped_with_choices_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    """Flags stand below the title of their group; a value is told by its choices, its unit or its kind."""
    with pytest.raises(SystemExit):
        main(["--help"])
    sections = capsys.readouterr().out.split("\n\n")
    assert [each.splitlines()[0] for each in sections if "  --" in each][1:] == [
        "settings file:",
        *(f"{title}:" for title in GROUPS),
    ]
    text = " ".join("\n".join(sections).split())
    for shown in ("--frontend {grpcio,envoy}", "--max-queue-rows ROWS", "--grpc-port PORT", "--max-calls NUMBER"):
        assert shown in text
    for shown in ("--workers NUMBER|auto", "--models FOLDER", "--host ADDRESS", "--tls-cert FILE", "--versions TEXT"):
        assert shown in text
    files = {name.removeprefix("--") for name in re.findall(r"(--[a-z-]+) FILE ", text)}
    assert files == {"access-log", "config", "tls-cert", "tls-key", "tls-client-ca", "tokens"}
