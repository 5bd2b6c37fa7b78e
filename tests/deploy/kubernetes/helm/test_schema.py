"""What Helm refuses before it asks a cluster."""

from typing import Any

import pytest

from deploy.kubernetes.helm import schema
from service.settings import FLAGS, variable

pytestmark = pytest.mark.deploy

REFUSED: dict[str, tuple[Any, str]] = {
    "an unknown value": ({"replicaCount": 3}, "replicaCount"),
    "an unknown value further in": ({"image": {"tags": "1"}}, "tags"),
    "a number for a tag": ({"image": {"tag": 0.1}}, "/image/tag"),
    "a word for a number": ({"replicas": "two"}, "/replicas"),
    "a word for a switch": ({"monitoring": {"enabled": "no"}}, "/monitoring/enabled"),
    "no replicas at the least": ({"autoscaling": {"minReplicas": 0}}, "/autoscaling/minReplicas"),
    "a name that is none": ({"models": {"claim": {"name": "My Models"}}}, "/models/claim/name"),
    "a folder as an address": ({"models": {"address": "/models"}}, "/models/address"),
    "no size": ({"models": {"cache": "2 GB"}}, "/models/cache"),
    "a GPU by name": ({"gpu": {"count": "one"}}, "/gpu/count"),
    "an unknown front end": ({"frontend": "nginx"}, "/frontend"),
    "an unknown setting": ({"settings": {"KAN_GRACE_SECOND": 30}}, "KAN_GRACE_SECOND"),
    "a setting that another value makes": ({"settings": {"KAN_PROVIDER": "cuda"}}, "KAN_PROVIDER"),
    "a setting of the wrong type": ({"settings": {"KAN_GRACE_SECONDS": "30"}}, "/settings/KAN_GRACE_SECONDS"),
    "a setting out of bounds": ({"settings": {"KAN_MAX_BATCH_ROWS": 0}}, "/settings/KAN_MAX_BATCH_ROWS"),
    "a value taken away": ({"resources": {"requests": None}}, "requests"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_values_are_refused(case: str, chart: Any) -> None:
    """Unknown names, wrong types and what is out of bounds: Helm says where."""
    values, named = REFUSED[case]
    assert named in chart.refused(values)


def test_the_schema_is_in_step_with_the_settings(chart: Any) -> None:
    """What is committed is what the generator makes; each setting is in it, or made of another value."""
    assert {path: path.read_text() for path in schema.files()} == schema.files()
    known = set(schema.settings()["properties"])
    assert known | {variable(name) for name in schema.MADE} == {variable(name) for name in FLAGS}
    assert known.isdisjoint(variable(name) for name in schema.MADE)


def test_as_a_part_of_another_chart_it_is_the_same(chart: Any) -> None:
    """Helm adds `global` there, which is no reason to refuse."""
    assert chart.refused({"global": {"region": "x"}}) == ""
