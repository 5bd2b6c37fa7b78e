"""A reader of a published version gets the members of its network back."""

import copy
from pathlib import Path

import numpy as np
import onnx
import torch

from kan_model import KAN, mean_network, members_of
from kan_model.onnx_runtime import run
from training.data.dataset import prepare
from training.pipelines.tune import tune
from training.publishing.export import Plan, Trained, describe, export, files
from training.publishing.publish import Published, publish
from training.publishing.version import read_newest
from training.recipe.config import load_recipe


def moved(kan: KAN, seed: int) -> KAN:
    """A copy with other numbers."""
    result = copy.deepcopy(kan)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in result.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator).to(parameter))
    return result


def test_members_come_back_from_a_published_version(flowers: Published, tmp_path: Path) -> None:
    """Version 2 answers the mean of four networks, before its output's transform; so does version 3, tuned from it."""
    before = read_newest(flowers.folder, "read that one")
    inputs, outputs = before.trained.inputs, before.trained.outputs
    made = [moved(before.trained.kan, seed) for seed in range(4)]
    trained = Trained(mean_network(made), inputs, outputs)
    exported = export(trained, Plan(1e-4, (), "float32"), scale=before.output_scale)
    manifest = copy.deepcopy(flowers.manifest)
    manifest.lowering.CopyFrom(describe(exported, {}))
    published = publish(flowers.folder.parent.parent, manifest, files(exported, manifest, {}), after=1)
    rows = prepare(load_recipe(tmp_path / "flowers.toml")).x.astype(np.float32)[:50]
    with torch.no_grad():
        x = torch.from_numpy(rows).double()
        x = x if inputs is None else inputs(x)
        mean = torch.stack([copy.deepcopy(kan).double()(x) for kan in made]).mean(dim=0)
        wanted = (mean if outputs is None else outputs(mean)).numpy()
    for _ in range(2):
        found = read_newest(published.folder, "read that one").trained.kan
        for member, original in zip(members_of(found), made, strict=True):
            torch.testing.assert_close(member(x.float()), original(x.float()), rtol=1e-5, atol=1e-5)
        answers = run(onnx.load(published.folder / "model.onnx"), rows)
        assert np.abs(answers - wanted).max() <= 2e-4 * np.max(manifest.lowering.output_scale)
        published = tune(published.folder, (1,))
