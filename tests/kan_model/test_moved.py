"""Python imports that worked before modules moved into rooms (commit 9536bcd and its docs)."""

import importlib
import json
import subprocess
import sys

import pytest

import kan_model
from kan_model import moved

# docs/kan.md of that commit, and one module of each kind of move.
OLD = {
    "kan_model.transform.InputTransform": "kan_model.network.transform",
    "kan_model.bspline.uniform_knots": "kan_model.splines.bspline",
    "kan_model.network.KAN": "kan_model.network.network",
    "kan_model.symbolic.SymbolicEdge": "kan_model.network.symbolic_edge",
    "kan_model.symbolic_choice.Symbolized": "kan_model.symbolic.choice",
    "kan_model.grid.refine_grid": "kan_model.grids.refinement",
    "kan_model.penalty.penalty": "kan_model.analysis.penalty",
    "kan_model.edge_values.check_rows": "kan_model.network.checks",
    "kan_model.checkpoint.save": "kan_model.network.checkpoint",
    "kan_model.lowering.graph.GraphBuilder": "kan_model.onnx_graph",
    "training.samples.Samples": "training.data.samples",
    "training.charts.staircase": "training.report.charts",
    "training.fit_sections.FitSection": "training.recipe.fit_sections",
    "training.fit.fit": "training.fitting.fit",
    "training.baseline.fit_baseline": "training.fitting.baseline",
    "training.continual.fit_on": "training.fitting.continual",
    "training.data.Dataset": "training.data.dataset",
    "training.report.NAME": "training.report.report",
    "training.importing.import_network": "training.pipelines.importing",
    "training.pipeline.train": "training.pipelines.train",
    "training.continuation.learn_on": "training.pipelines.continuation",
}


# Prints each old name that is not the new object, or whose import does not warn with the new name.
PROGRAM = """
import importlib, json, sys, warnings
for old, new in json.loads(sys.argv[1]).items():
    module, _, name = old.rpartition(".")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = getattr(importlib.import_module(module), name)
    told = [str(each.message) for each in heard if each.category is DeprecationWarning]
    if found is not getattr(importlib.import_module(new), name) or not any(new in each for each in told):
        print(old, found, told)
"""


def test_an_old_name_is_the_new_object_and_warns() -> None:
    """An import of an old name gives the very object of the new one, and a DeprecationWarning with the new name."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(OLD)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.slow
def test_an_old_module_is_an_attribute_of_its_package() -> None:
    """``import kan_model`` once loaded its modules: they are still there as attributes, and warn."""
    program = "import warnings; warnings.simplefilter('ignore'); import kan_model, training as t; "
    program += "print(kan_model.bspline.__name__, kan_model.grid.__name__, t.samples.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "kan_model.splines.bspline kan_model.grids.refinement training.data.samples\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kan_model.nothing  # noqa: B018


@pytest.mark.parametrize("name", ["kan_model.nothing", "training.nothing", "kan_model.network.nothing"])
def test_a_name_that_never_was_is_an_import_error(name: str) -> None:
    """A module that never existed is not found, as in any package."""
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        importlib.import_module(name)


def test_an_attribute_that_never_was_is_an_attribute_error() -> None:
    """The package that took a module's name answers for an unknown attribute as any module does."""
    with pytest.raises(AttributeError, match=r"'kan_model.network' has no attribute 'nothing'"):
        moved.old_attribute("kan_model.network", "nothing", "kan_model.network.network")


@pytest.mark.slow
def test_importing_the_package_is_light() -> None:
    """``import kan_model`` loads none of the libraries that take seconds, and sets no environment variable."""
    program = (
        "import os, sys; before = dict(os.environ); import kan_model; assert os.environ == before;"
        "print(*sorted({'torch', 'onnx', 'onnxruntime', 'sympy', 'matplotlib'} & set(sys.modules)));"
        "print(kan_model.lowering.lower.__name__);"
        "print(kan_model.network.transform.__name__, kan_model.grids.breaks.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\nlower\nkan_model.network.transform kan_model.grids.breaks\n"


def test_every_public_name_is_there() -> None:
    """Each name is found on its first use, as an attribute and by ``from kan_model import``, where the stub says."""
    assert set(kan_model.__all__) <= set(dir(kan_model))
    assert kan_model.KAN is importlib.import_module("kan_model.network.network").KAN
    assert kan_model.checkpoint is importlib.import_module("kan_model.network.checkpoint")
    for imported in (f"from kan_model import {', '.join(kan_model.__all__)}", "from kan_model import *"):
        namespace: dict[str, object] = {}
        exec(imported, namespace)
        for name in kan_model.__all__:
            assert namespace[name] is getattr(kan_model, name)


@pytest.mark.parametrize("name", ["auto", "fix", "suggest"])
def test_the_old_names_of_functions_warn(name: str) -> None:
    """``kan_model.auto`` is ``kan_model.auto_symbolic``, and says so."""
    with pytest.warns(DeprecationWarning, match=f"{name}_symbolic"):
        assert getattr(kan_model, name) is getattr(kan_model, f"{name}_symbolic")
