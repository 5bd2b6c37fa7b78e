"""The pages that are made hold all that there is, and the pages that are written agree with it."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from docs.generate.pages import generated_pages
from docs.generate.reference import api, commands, metrics, protocols, settings
from docs.generate.reference.recipe import sections
from docs.generate.sources.alerts import alerts
from docs.generate.text.tables import code, default
from kan_api.v1 import manifest_pb2, prediction_pb2
from kan_model.network import functions
from open_inference import grpc_predict_v2_pb2, model_config_pb2
from service.registry.agreement import OTHER_WORKER
from service.registry.scanning.absent_versions import ABSENT
from service.settings import FLAGS, ModelTable

pytestmark = pytest.mark.docs

DOCS = Path(__file__).parents[2] / "docs"


def cells(text: str) -> list[list[str]]:
    """The lines of all tables."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:2] == "| "]


def test_every_alert_has_a_page_with_its_rules_and_what_to_do() -> None:
    """Whom it wakes, what it says, what to do, and the expression."""
    pages = generated_pages()
    files = (DOCS.parent / "deploy" / "prometheus" / "rules").glob("*.yaml")
    assert alerts().keys() == {name for file in files for name in re.findall(r"- alert: (\w+)", file.read_text())}
    assert len(alerts()) > 20
    for name, rules in alerts().items():
        page = pages[f"runbooks/{name.lower()}.md"]
        assert page.startswith(f"# {name}\n")
        assert page.count("```promql") == len(rules)
        assert all(rule["labels"]["severity"] in page and rule["annotations"]["summary"] in page for rule in rules)
        assert len(page.split("## What to do\n")[1].split("## The rule")[0].strip()) > 80


def test_the_settings_are_those_of_the_written_table() -> None:
    """docs/operations.md names each flag with the default that it has."""
    text = (DOCS / "operations.md").read_text()
    written = {row[0].strip("`"): row[1].strip("`") for row in cells(text) if row[0].startswith("`--")}
    made = {row[0].split("`")[1]: row[2].strip("`") for row in cells(settings.page()) if row[0].startswith("`--")}
    assert written.keys() == made.keys() == {"--" + name.replace("_", "-") for name in FLAGS}
    words = {"the user's": "–", "none": "–", "off": "false"}
    for flag, told in written.items():
        expected = made[flag]
        assert told == expected or words.get(told) == expected or float(told) == float(expected), flag


def test_the_keys_of_models_are_those_of_the_written_table() -> None:
    """docs/operations.md says of each key of [models.NAME] what it does."""
    text = (DOCS / "operations.md").read_text().split("| key of a model |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", "".join(row[0] for row in cells(text)))) == sorted(ModelTable.model_fields)


def test_the_recipe_s_keys_are_those_of_the_written_table() -> None:
    """docs/recipes.md has a line for each key of each section, and for nothing else."""
    written: dict[tuple[str, str], str] = {}
    section = ""
    for row in cells((DOCS / "recipes.md").read_text()):
        if len(row) != 4 or row[0] in ("section", "---"):
            continue
        section = row[0].strip("`[]") or section
        keys, values = re.findall(r"`(\w+)`", row[1]), row[2].split(", ")
        written |= {(section, key): value for key, value in zip(keys, [*values, *[""] * len(keys)], strict=False)}
    for table in ("categories", "dates"):
        written.pop((f"data.{table}", "COLUMN"))
        written["data", table] = "–"
    made = {(name, key): schema for name, each in sections() for key, schema in each["properties"].items()}
    # With a toy source alone; told in the line of source.
    assert made.keys() - written.keys() <= {("data", "rows"), ("data", "seed"), ("split", "column")}
    assert written.keys() <= made.keys()


def test_metrics_have_the_names_of_the_written_table() -> None:
    """docs/operations.md tells what to look at in each."""
    written = {row[0] for row in cells((DOCS / "operations.md").read_text()) if row[0][:5] == "`kan_"}
    assert {row[0] for row in cells(metrics.page()) if row[0][:5] == "`kan_"} == written


def test_the_runbook_of_a_refusal_has_every_reason() -> None:
    """The runbook has a row for each reason that the code gives, and the line of the metric lists the same reasons."""
    code_of_service = "\n".join(path.read_text() for path in (DOCS.parent / "service").rglob("*.py"))
    given = set(re.findall(r'ModelRefused\(\s*"(\w+)"', code_of_service)) | {"resources", ABSENT, OTHER_WORKER}
    written = (DOCS / "operations.md").read_text()
    runbook = written.partition("\n### KanVersionRefused\n")[2].partition("\n### ")[0]
    assert {name for row in cells(runbook) for name in re.findall(r"`(\w+)`", row[0])} == given
    (metric,) = (row[2] for row in cells(written) if row[0] == "`kan_model_refused_total`")
    assert set(re.findall(r"`(\w+)`", metric)) == given


def test_every_command_is_there() -> None:
    """With its help, as the program prints it."""
    page = commands.page()
    train, client = ("run", "init", "tune", "import"), ("models", "describe", "predict", "health")
    for name in ("kan-serve", *(f"kan-train {each}" for each in train), *(f"kan-client {each}" for each in client)):
        assert f"# {name}\n\n```text\nusage: {name} " in page


def test_protocols_hold_every_rpc_message_and_field() -> None:
    """Of all four .proto files, by the descriptors of the generated code."""
    text = "\n".join(protocols.pages().values())
    for module in (manifest_pb2, prediction_pb2, grpc_predict_v2_pb2, model_config_pb2):
        file = module.DESCRIPTOR
        for service in file.services_by_name.values():
            assert all(f"### {method.name}\n" in text for method in service.methods)
        for message in file.message_types_by_name.values():
            assert f"## {message.name}\n" in text
            assert all(f"| {field.number} | `{field.name}` |" in text for field in message.fields)
    assert "| 2 | `version` | `int64` | 0: the latest version that is ready. |" in text


def test_every_room_has_a_page() -> None:
    """Each module and subpackage right inside a package, but for generated code and old names."""
    names = [name for rooms in api.rooms().values() for name in rooms]
    assert {"kan_model.splines", "training.recipe", "service.client", "kan_api.limits"} <= set(names)
    assert all(f"::: {name}\n" in api.pages()[api.place(name)] for name in names)


def test_the_formula_s_recipe_is_the_one_that_runs() -> None:
    """docs/formula.md shows the file that its command names."""
    recipe = (DOCS.parent / "training/recipes/formula.toml").read_text()
    [shown] = re.findall(r"```toml\n(.*?)```", (DOCS / "formula.md").read_text(), flags=re.DOTALL)
    assert tomllib.loads(shown) == tomllib.loads(recipe)


def test_the_row_of_the_example_is_a_function() -> None:
    """docs/add-a-function.md adds what is not there yet, by a row and a reference that agree."""
    text = (DOCS / "add-a-function.md").read_text()
    reference, row = (each.strip().removesuffix(",") for each in re.findall(r"```python\n(.*)\n```", text)[:2])
    function = eval(row, vars(functions))
    assert function.name not in functions.FUNCTIONS
    [(name, (expected, low, high))] = eval(f"{{{reference}}}", {"np": np}).items()
    assert name == function.name
    x = np.linspace(low, high, 1001)
    np.testing.assert_allclose(function.torch(torch.from_numpy(x)), expected(x), rtol=2e-15, atol=0)


@pytest.mark.parametrize(("value", "shown"), [(None, "–"), ("", "–"), (False, "`false`"), ([5], "`[5]`"), (0, "`0`")])
def test_defaults_are_told(value: object, shown: str) -> None:
    """As one would write them; 0 and false are defaults, nothing is none."""
    assert default(value) == shown
    assert code("") == ""


def test_drawings_name_rooms_that_are_there() -> None:
    """A room that moves takes its name in docs/pictures/diagrams along."""
    text = "".join(path.read_text() for path in (DOCS / "pictures" / "diagrams").glob("*-way.svg"))
    rooms = set(re.findall(r"\b(?:kan_model|training|service)(?:\.\w+)+", text))
    assert len(rooms) >= 8
    assert all((DOCS.parent / room.replace(".", "/")).is_dir() for room in rooms)
