"""Dashboards as text: in step with what makes them, whole, of one mind with the rules, the data source and the docs."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.models import units

from deploy.generated import write_or_check
from deploy.grafana import dashboards, promises
from service.rpc.status import Code

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "deploy" / "grafana"
BOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").glob("*.json"))}
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
# Rows are headings.
SHOWN = [pytest.param(name, panel, id=f"{name}: {panel['title']}") for name, panel in PANELS if panel["type"] != "row"]
RULES = ROOT / "deploy" / "prometheus" / "rules"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

Panel = dict[str, Any]


def alert(name: str, severity: str = "") -> list[str]:
    """Expressions of an alert, of one severity or of all."""
    files = (RULES / "alerts.yaml", RULES / "drift.yaml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    found = [rule for group in groups for rule in group["rules"] if rule.get("alert") == name]
    return [rule["expr"] for rule in found if severity in ("", rule["labels"]["severity"])]


def burn(name: str, severity: str) -> list[float]:
    """The ratios above which an alert of burn rates fires, from the highest."""
    found = [re.search(r"> ([\d.]+) \* ([\d.]+)", expression) for expression in alert(name, severity)]
    return sorted((float(each[1]) * float(each[2]) for each in found if each), reverse=True)


def above(name: str) -> float:
    """The number above which an alert fires."""
    (expression,) = alert(name)
    found = re.search(r"> ([\d.]+)$", expression)
    assert found is not None
    return float(found[1])


def cells(panel: Panel) -> Iterator[tuple[int, int]]:
    """The cells of the grid that a panel takes."""
    place = panel["gridPos"]
    columns = range(place["x"], place["x"] + place["w"])
    yield from itertools.product(columns, range(place["y"], place["y"] + place["h"]))


def texts(value: Any) -> Iterator[str]:
    """Every string in a piece of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def test_committed_dashboards_are_what_python_makes() -> None:
    """`--check` says so, run as a person runs it."""
    checked = subprocess.run(
        [sys.executable, GRAFANA / "dashboards.py", "--check"], capture_output=True, text=True, timeout=100
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_check_sees_what_is_out_of_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names each file that is absent or changed, fails and writes nothing; what was written is in step."""
    monkeypatch.setattr(dashboards, "_FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["dashboards.py"])
    assert write_or_check(dashboards.files, None) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"serving.json", "models.json"}
    monkeypatch.setattr(sys, "argv", ["dashboards.py", "--check"])
    assert write_or_check(dashboards.files, None) == 0
    (tmp_path / "serving.json").write_text("{}\n")
    (tmp_path / "models.json").unlink()
    capsys.readouterr()
    assert write_or_check(dashboards.files, None) == 1
    complaint = capsys.readouterr().err
    assert "serving.json is out of step" in complaint
    assert "models.json is out of step" in complaint
    assert (tmp_path / "serving.json").read_text() == "{}\n"


def test_dashboards_can_be_told_apart_and_found() -> None:
    """Fixed names in addresses, one tag, a time range and a refresh; compose's home page is one of them."""
    assert {name: board["uid"] for name, board in BOARDS.items()} == {"serving": "kan-serving", "models": "kan-models"}
    for board in BOARDS.values():
        assert board["tags"] == ["kan-serving"]
        assert board["time"] == {"from": "now-1h", "to": "now"}
        assert board["refresh"] == "30s"
        assert board["description"]
        assert "id" not in board
    grafana = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["grafana"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.stem in BOARDS
    assert f"./grafana/dashboards:{home.parent}:ro" in grafana["volumes"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "kan-serving.yaml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == str(home.parent)


def test_the_data_source_is_the_provisioned_one() -> None:
    """By its uid, which provisioning sets; every panel, query, variable and mark names it."""
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (wanted,) = ({"type": each["type"], "uid": each["uid"]} for each in sources if each["type"] == "prometheus")
    for board in BOARDS.values():
        askers = [panel for panel in board["panels"] if panel["type"] != "row"]
        askers += [target for panel in askers for target in panel["targets"]]
        askers += [*board["templating"]["list"], *board["annotations"]["list"]]
        assert all(each["datasource"] == wanted for each in askers)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    """None upon another, none beyond the 24 columns, no hole between them; their numbers and titles are their own."""
    panels = BOARDS[name]["panels"]
    taken = [cell for panel in panels for cell in cells(panel)]
    assert len(taken) == len(set(taken))
    bottom = max(y for _, y in taken) + 1
    assert set(taken) == set(itertools.product(range(24), range(bottom)))
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


@pytest.mark.parametrize(("name", "panel"), SHOWN)
def test_a_panel_says_what_it_shows(name: str, panel: Panel) -> None:
    """A title, a text of some words, a unit that Grafana knows, lines with names, words where there is nothing."""
    assert panel["title"]
    assert len(panel["description"].split()) > 8
    defaults = panel["fieldConfig"]["defaults"]
    known = {value for key, value in vars(units).items() if isinstance(value, str) and not key.startswith("_")}
    assert defaults["unit"] in known
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == sorted(set(letters))
    assert all(target["expr"] for target in panel["targets"])
    if panel["type"] not in ("heatmap", "table"):
        assert all(target["legendFormat"] for target in panel["targets"])
    if panel["type"] != "heatmap":
        assert defaults["noValue"]
        assert defaults["thresholds"]["steps"][0]["value"] is None
    for override in panel["fieldConfig"]["overrides"]:
        assert all(each["value"] in known for each in override["properties"] if each["id"] == "unit")


def test_cells_without_a_value_do_not_say_that_the_table_is_empty() -> None:
    """Grafana writes a field's `noValue` into each such cell, and paints it with the first step of its colours."""
    for panel in (panel for _, panel in PANELS if panel["type"] == "table"):
        every, *columns = panel["fieldConfig"]["overrides"]
        assert re.fullmatch(every["matcher"]["options"], "any column")
        assert {each["id"]: each["value"] for each in every["properties"]}["noValue"] == "–"
        for column in columns:
            properties = {each["id"]: each["value"] for each in column["properties"]}
            if "thresholds" in properties:
                (mapping,) = properties["mappings"]
                assert mapping["options"]["match"] == "null+nan"
                assert mapping["options"]["result"]["color"] == "transparent"


def test_parts_of_a_whole_have_no_outlines() -> None:
    """Those of parts that are zero would be a red line on top of a service that is well."""
    drawn = [panel["fieldConfig"]["defaults"]["custom"] for _, panel in PANELS if panel["type"] == "timeseries"]
    parts = [custom["lineWidth"] for custom in drawn if "stacking" in custom]
    assert parts
    assert not any(parts)


def test_the_first_line_says_whether_all_is_well() -> None:
    """Eight numbers on the colour of their state, over the whole width, before anything else; alerts are below them."""
    panels = BOARDS["serving"]["panels"]
    line = [panel for panel in panels if panel["gridPos"]["y"] == 0]
    assert sum(panel["gridPos"]["w"] for panel in line) == 24
    for panel in line:
        assert panel["type"] == "stat"
        assert panel["options"]["colorMode"] == "background"
        colours = {step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
        assert "green" in colours
        assert colours & {"orange", "red"}
    below = panels[len(line)]
    assert below["title"] == "Firing alerts"
    assert below["gridPos"]["y"] + below["gridPos"]["h"] <= 12


def test_colours_change_where_alerts_fire() -> None:
    """Orange at the objective, or where a ticket is written; red at the rate of spending that wakes someone."""
    for steps, name in (
        (promises.FAILED, "KanAvailabilityBudgetBurn"),
        (promises.SLOW, "KanLatencyBudgetBurn"),
    ):
        objective, page = burn(name, "ticket")[-1], burn(name, "page")[0]
        assert [value for value, _ in steps] == [None, pytest.approx(objective), pytest.approx(page)]
    (edge,) = set(re.findall(r'le="([\d.]+)"', (RULES / "recording.yaml").read_text()))
    assert promises.SECONDS[1] == (float(edge), "orange")
    assert promises.QUEUE[1] == (above("KanQueueSaturated"), "orange")
    assert promises.SHED[1] == (above("KanLoadShed"), "orange")
    assert promises.DESCRIPTORS[1] == (above("KanFileDescriptorsLow"), "orange")
    for name in ("KanColumnDrift", "KanAnswerDrift"):
        (drift,) = alert(name)
        assert promises.DRIFT == ((None, "green"), (0.25, "orange"))
        assert set(re.findall(r" > ([\d.]+)", drift)) == {"0.25"}
    (few,) = alert("KanTooFewInstances")
    assert few.endswith("== 1")
    assert promises.REPLICAS == ((None, "red"), (1, "orange"), (2, "green"))


def test_colours_of_statuses_are_those_of_the_rules() -> None:
    """Red are the codes that count against availability, green is OK, and every other code is the caller's, yellow."""
    (panel,) = (panel for _, panel in PANELS if panel["title"] == "Requests by status")
    (failures,) = set(re.findall(r'\bcode=~"([^"]*)"', (RULES / "recording.yaml").read_text()))
    for code in Code:
        colour = "red" if code.name in failures.split("|") else "green" if code.name == "OK" else "yellow"
        matching = [
            override["properties"][0]["value"]["fixedColor"]
            for override in panel["fieldConfig"]["overrides"]
            if re.search(override["matcher"]["options"], code.name)
        ]
        assert matching == [colour], code.name


def test_links_lead_somewhere() -> None:
    """To sections of the docs, written as alerts write them, and to dashboards and variables that there are."""
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^#+ (.*)$", OPERATIONS)
    }
    boards = {board["uid"]: {each["name"] for each in board["templating"]["list"]} for board in BOARDS.values()}
    named = [text for board in BOARDS.values() for text in texts(board)]
    sections = {anchor for text in named for anchor in re.findall(r"docs/operations\.md#([\w-]+)", text)}
    assert len(sections) > 10
    assert sections <= anchors
    addresses = [text for text in named if text.startswith("/d/")]
    assert len(addresses) == 2
    for address in addresses:
        uid = address.removeprefix("/d/").split("?")[0]
        assert set(re.findall(r"var-(\w+)=", address)) <= boards[uid]
    for board in BOARDS.values():
        (link,) = board["links"]
        assert (link["type"], link["tags"], link["keepTime"], link["includeVars"]) == (
            "dashboards",
            board["tags"],
            True,
            True,
        )


def test_each_variable_is_used_and_each_use_is_a_variable() -> None:
    """A name that Grafana does not know stays in the query as it is, and finds nothing."""
    for board in BOARDS.values():
        variables = {each["name"] for each in board["templating"]["list"]}
        expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
        expressions += [mark["expr"] for mark in board["annotations"]["list"]]
        used = {name for expression in expressions for name in re.findall(r"\$(\w+)", expression)}
        assert used - {"__rate_interval", "__range"} == variables
        for each in board["templating"]["list"]:
            assert (each["multi"], each["includeAll"], each["allValue"]) == (True, True, ".*")


def test_rates_fit_the_zoom() -> None:
    """A fixed window would miss what is between the points of a long range; recorded rates say theirs in their name."""
    for _, panel in PANELS:
        for target in panel.get("targets", []):
            windows = set(re.findall(r"\[([^]]*)\]", target["expr"]))
            assert windows <= {"$__rate_interval"} or "last_over_time" in target["expr"] or "@ end()" in target["expr"]


def test_a_legend_lists_what_came_up() -> None:
    """Many counters of codes and reasons are there from the start, at zero: codes that never came up are left out."""
    fixed = re.compile(r"\{\{(code|grpc_code|reason|protocol)\}\}")
    drawn = [
        target["expr"]
        for _, panel in PANELS
        for target in panel.get("targets", [])
        if fixed.search(target.get("legendFormat", "")) and "rate(" in target["expr"]
    ]
    assert len(drawn) == 4
    for expression in drawn:
        assert re.search(r" and \(sum by \(\w+\) \(increase\(\w+\{.*\}\[\$__range\] @ end\(\)\)\) > 0 or ", expression)


def test_the_table_of_alerts_names_all_that_their_summaries_name() -> None:
    """A drift alert is of a column: without its name the row says only that something drifts."""
    (table,) = (panel for _, panel in PANELS if panel["title"] == "Firing alerts")
    groups = [group for file in RULES.glob("*.yaml") for group in yaml.safe_load(file.read_text())["groups"]]
    summaries = [rule["annotations"]["summary"] for group in groups for rule in group["rules"] if "alert" in rule]
    named = {label for summary in summaries for label in re.findall(r"\$labels\.(\w+)", summary)}
    assert "column" in named
    assert named - {"namespace"} <= set(re.findall(r"\w+", table["targets"][0]["expr"]))
