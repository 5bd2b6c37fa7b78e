"""The attributes of a server, from OpenTelemetry's variables."""

from importlib.metadata import version

import pytest

from service.tracing.resource import resource_attributes


def test_the_defaults_name_the_server() -> None:
    """Its name, its version and an id that no other server has."""
    first, second = resource_attributes({}), resource_attributes({})
    assert first["service.name"] == "kan-serve"
    assert first["service.version"] == version("kan-serving")
    assert first["service.instance.id"] != second["service.instance.id"]


def test_the_variables_win() -> None:
    """OTEL_RESOURCE_ATTRIBUTES over the defaults, OTEL_SERVICE_NAME over both; values are percent-decoded."""
    given = {
        "OTEL_RESOURCE_ATTRIBUTES": "a=b%20c, service.instance.id=7,service.name=x,",
        "OTEL_SERVICE_NAME": "prices",
    }
    found = resource_attributes(given)
    assert (found["a"], found["service.instance.id"], found["service.name"]) == ("b c", "7", "prices")


def test_what_is_no_list_of_pairs_is_ignored_whole(caplog: pytest.LogCaptureFixture) -> None:
    """As the specification wants it, and the log says so."""
    assert "a" not in resource_attributes({"OTEL_RESOURCE_ATTRIBUTES": "a=b,nonsense"})
    assert "'nonsense'" in caplog.text
