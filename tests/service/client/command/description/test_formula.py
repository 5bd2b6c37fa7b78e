"""The formula of a model, as lines of text."""

import pytest

from kan_api.v1.manifest_pb2 import Formula, ModelManifest
from service.client.command.description.formula import formula_lines


def test_a_model_without_a_formula_has_no_lines() -> None:
    """Splines are no formula."""
    assert list(formula_lines(ModelManifest(target="y"))) == []


def test_the_formula_of_an_older_version() -> None:
    """A manifest without details has the text alone."""
    text = "".join(formula_lines(ModelManifest(target="y", formula="y = x**2")))
    assert text == "\nformula, which the model computes:\n  y = x**2\n"


@pytest.mark.parametrize(
    ("served", "which"), [(True, "which the model computes"), (False, "fitted to the network, which answers")]
)
def test_text_latex_and_both_errors(served: bool, which: str) -> None:
    """Which of the two answers is said in the first line."""
    details = Formula(
        text=["3*sin(a) + b"],
        latex=[r"3 \sin{\left(a \right)} + b"],
        r2_to_network=[0.99123],
        formula_metrics={"test_rmse": 0.2896, "test_r2": 0.9911},
        network_metrics={"test_rmse": 0.006817},
        served=served,
    )
    text = "".join(formula_lines(ModelManifest(target="y", formula_details=details)))
    assert text.splitlines() == [
        "",
        f"formula, {which}:",
        "  y = 3*sin(a) + b",
        "",
        "LaTeX (in raw units):",
        r"  3 \sin{\left(a \right)} + b",
        "",
        "R² against the network: 0.9912",
        "formula on the test rows: R² 0.9911, RMSE 0.2896",
        "network on the test rows: RMSE 0.006817",
    ]


def test_a_formula_nearer_than_its_network_is_not_judged_by_it() -> None:
    """An R² against a network that is far worse reads as a failure; both errors are told."""
    details = Formula(
        text=["a"],
        latex=["a"],
        r2_to_network=[-11.4145],
        formula_metrics={"test_rmse": 5.212},
        network_metrics={"test_rmse": 17.06},
    )
    text = "".join(formula_lines(ModelManifest(target="y", formula_details=details)))
    assert text.endswith("\n\nformula on the test rows: RMSE 5.212\nnetwork on the test rows: RMSE 17.06\n")
    assert "R²" not in text


def test_classes_and_long_formulas() -> None:
    """One line a class, of the scores before the softmax; what nobody reads is counted."""
    details = Formula(text=["x", "x + " * 600 + "1"], latex=["x", "y"], served=True)
    lines = "".join(formula_lines(ModelManifest(classes=["no", "yes"], formula_details=details))).splitlines()
    assert lines[2] == "  no = x"
    assert lines[3] == "  2,407 characters; GetModel has them"
    assert lines[5] == "LaTeX (scores before the softmax, in raw units):"
