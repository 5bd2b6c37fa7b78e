"""Where values come from, and the check of them."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from service.cli import main
from service.errors import SettingsError
from service.frontends.envoy.control import SETTINGS_VARIABLE
from service.settings import FLAGS, Sources, flag, variable
from service.settings.check import absent_models, describe


def test_a_flag_wins_over_a_variable_and_that_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flag, environment, file, default: each value comes from the first that has it."""
    file.write_text("[server]\ngrpc_port = 1\nhttp_port = 1\nmax_calls = 1\n")
    monkeypatch.setenv("KAN_GRPC_PORT", "2")
    monkeypatch.setenv("KAN_HTTP_PORT", "2")
    sources = Sources({"grpc_port": "3"}, file)
    settings = sources.load()
    assert (settings.grpc_port, settings.http_port, settings.max_calls, settings.max_streams) == (3, 2, 1, 32)
    origins = sources.origins(sources.read())
    names = ("grpc_port", "http_port", "max_calls", "max_streams")
    assert [origins[name] for name in names] == [
        "flag --grpc-port",
        "variable KAN_HTTP_PORT",
        f"{file}:4",
        "default",
    ]


def test_a_wrong_variable_is_told_beside_a_right_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable hides the file's value, so its mistake is an error."""
    file.write_text("[server]\ngrpc_port = 1\n")
    monkeypatch.setenv("KAN_GRPC_PORT", "x")
    with pytest.raises(SettingsError, match=r"--grpc-port .or KAN_GRPC_PORT. is 'x'"):
        Sources({}, file).load()


def test_settings_that_do_not_fit_each_other_name_the_file(file: Path) -> None:
    """The queue of the file is shorter than the largest request by default."""
    file.write_text("[server]\nmax_queue_rows = 9\n")
    with pytest.raises(SettingsError, match=r"kan-serve.toml: max_request_rows is 4096"):
        Sources({}, file).load()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('tls_cert = "a"', "tls_cert is set, and tls_key is not: give --tls-key, KAN_TLS_KEY or the key tls_key too"),
        ('tls_key = "a"', "tls_key is set, and tls_cert is not: give --tls-cert, KAN_TLS_CERT or the key tls_cert too"),
        (
            'tls_client_ca = "a"',
            "tls_client_ca is set, and tls_cert is not: give --tls-cert, KAN_TLS_CERT or the key tls_cert too",
        ),
    ],
)
@pytest.mark.parametrize("flags", [["--check-config"], []])
def test_half_of_tls_in_the_file_is_one_line(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, told: str, flags: list[str]
) -> None:
    """The check and the start name the file and say what is missing."""
    file.write_text(f"[server]\n{text}\n")
    assert main(["--config", str(file), *flags]) == 2
    assert capsys.readouterr().err == f"kan-serve: {file}: {told}\n"


@pytest.mark.parametrize("name", ["tokens", "tls_client_ca", "tls_cert", "tls_key"])
@pytest.mark.parametrize("by_flag", [True, False])
def test_an_empty_value_opens_no_server(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, by_flag: bool
) -> None:
    """An empty flag or variable for tokens or TLS is refused, whether the file has the key or not."""
    flags = [flag(name), ""] if by_flag else []
    if not by_flag:
        monkeypatch.setenv(variable(name), "")
    for text in ("", f'[server]\n{name} = "a"\n'):
        file.write_text(text)
        assert main(["--check-config", "--config", str(file), *flags]) == 2
        told = f"kan-serve: {flag(name)} (or {variable(name)}) is empty: wanted a file, or neither flag nor variable\n"
        assert capsys.readouterr().err == told


def test_a_flag_hides_an_empty_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the variable says does not matter then."""
    file.touch()
    monkeypatch.setenv("KAN_TOKENS", "")
    assert Sources({"tokens": "a"}, file).load().tokens == "a"


def test_tls_of_several_sources_fits(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate may stand in the file, its key in a flag and the authority in a variable."""
    file.write_text('[server]\ntls_cert = "a"\n')
    monkeypatch.setenv("KAN_TLS_CLIENT_CA", "c")
    settings = Sources({"tls_key": "b"}, file).load()
    assert (settings.tls_cert, settings.tls_key, settings.tls_client_ca) == ("a", "b", "c")


def test_what_is_in_force_is_a_settings_file(file: Path) -> None:
    """The output of the check, read as a settings file, gives the same settings."""
    file.write_text(
        '[server]\nhost = "::"\n[models.digits]\nquota_rows_per_second = 2.5\n[models."*"]\npriority = 1\n'
        + '[models."\\u007f"]\n'
    )
    sources = Sources({"allow_load": True, "models": 'a "b" \\ ü \x7f'}, file)
    settings, content = sources.load(), sources.read()
    text = describe(settings, sources, content)
    assert tomllib.loads(text)["server"].keys() == FLAGS.keys() - {"metrics_port"}
    assert "# metrics_port is not set  # default" in text
    file.write_text(text)
    assert Sources({}, file).load() == settings


@pytest.mark.parametrize("metrics_port", ["8002", "8003", "0"])
def test_the_port_for_metrics_is_told_as_it_is_in_force(file: Path, metrics_port: str) -> None:
    """Also one that is no other than the HTTP port, though with tokens the default is another."""
    file.write_text("")
    sources = Sources({"tokens": "tokens.toml", "metrics_port": metrics_port}, file)
    settings = sources.load()
    file.write_text(describe(settings, sources, sources.read()))
    assert Sources({}, file).load() == settings


def test_check_config_prints_what_is_in_force(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, each value with its origin, and a warning for a table without a model."""
    (tmp_path / "models" / "digits").mkdir(parents=True)
    file.write_text("[server]\ngrpc_port = 9001\n[models.digits]\npriority = 1\n[models.digit]\n")
    flags = ["--check-config", "--config", str(file), "--models", str(tmp_path / "models")]
    assert main(flags) == 0
    captured = capsys.readouterr()
    assert f"grpc_port = 9001  # {file}:2\n" in captured.out
    assert f"priority = 1  # {file}:4\n" in captured.out
    warning = captured.err.splitlines()[0]
    assert "[models.digit]" in warning


def test_a_misspelt_table_is_one_warning(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that selects a version, which is absent too. A check of the settings alone looks for none."""
    (tmp_path / "models" / "digits" / "1").mkdir(parents=True)
    file.write_text('[models.digit]\nversions = "3"\n')
    flags = ["--config", str(file), "--models", str(tmp_path / "models")]
    assert main(["--check-config", *flags]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "digit" in line]
    assert len(warnings) == 1
    assert "model digit: version 3" in warnings[0]
    assert "no version of this model is there" in warnings[0]
    file.write_text("[models.digit]\n")
    assert main(["--check-config", "settings", *flags]) == 0
    assert "digit" not in capsys.readouterr().err


def test_the_variable_of_opentelemetry_is_an_origin(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts where nothing of ours gives the receiver of traces; that for traces alone wins."""
    file.write_text("")
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.setenv(name, f"http://127.0.0.1/{name}")
        sources = Sources({}, file)
        assert sources.load().trace_endpoint.endswith(name)
        assert sources.origins(sources.read())["trace_endpoint"] == f"variable {name}"
    file.write_text('[server]\ntrace_endpoint = "http://127.0.0.1:1"\n')
    assert sources.origins(sources.read())["trace_endpoint"] == f"{file}:2"
    assert sources.load().trace_endpoint == "http://127.0.0.1:1"


def test_the_longest_settings_fit_into_an_environment_variable(file: Path) -> None:
    """The server inside Envoy gets them by one. Where every character needs an escape the file may be shorter."""

    def write(tabs: int) -> None:
        file.write_text("[models.'" + "\t" * tabs + "']\n")

    write(65_400)
    with pytest.raises(SettingsError, match=r"kan-serve.toml: the settings take \d+ bytes as JSON; at most 130048"):
        Sources({}, file).load()
    write(64_000)
    settings = Sources({}, file).load()
    text = settings.model_dump_json(exclude_none=True)
    assert 128_000 < len(text) <= 130_048
    assert subprocess.run(["true"], env={SETTINGS_VARIABLE: text}, check=False).returncode == 0


def test_a_path_that_is_no_unicode_is_taken() -> None:
    """Linux' paths are bytes; the check of the length stands in nobody's way."""
    assert Sources({"models": "/tmp/\udcff"}).load().models == Path("/tmp/\udcff")


def test_a_warning_of_a_strange_name_is_one_short_line(file: Path) -> None:
    """Whatever the name of a table holds, and however long it is."""
    file.write_text("[models.'" + "\t" * 1000 + "']\n")
    sources = Sources({"models": str(file.parent)}, file)
    warning = absent_models(sources.load(), sources.read())
    assert warning.isprintable()
    assert len(warning) < 300


def test_a_table_without_a_model_is_told_with_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check and a reload begin with the place of the first such table, as every message of the file does."""
    file.write_text("[models.'*']\npriority = 1\n\n[models.flat]\npriority = 2\n[models.round]\n")
    main(["--check-config", "--config", str(file), "--models", str(file.parent)])
    told = f"kan-serve: warning: {file}:4: {file.parent} has no model for [models.flat], [models.round]"
    assert told in capsys.readouterr().err.splitlines()


def test_a_broken_file_ends_with_2(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check and the start say the same, a line for each mistake; KAN_CONFIG names the file as --config does."""
    file.write_text("[server]\ngrpc_port = -1\nhttp_port = -1\n")
    monkeypatch.setenv("KAN_CONFIG", str(file))
    said = []
    for flags in (["--check-config"], []):
        assert main(flags) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        said.append(captured.err)
    assert (
        said[0]
        == said[1]
        == f"kan-serve: {file}:2: [server] grpc_port = -1: wanted at least 0\n"
        + (f"kan-serve: {file}:3: [server] http_port = -1: wanted at least 0\n")
    )
