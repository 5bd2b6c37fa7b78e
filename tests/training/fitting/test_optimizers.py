"""What the optimizers compute once for rows that stay the same changes nothing but the last digits."""

import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.network.layer import KANLayer
from kan_model.rows import known_rows
from training.data.samples import Samples
from training.fitting.optimizers import Objective, optimizer_for
from training.recipe.fit_sections import FitSection, SparsifySection

PLANS = {
    "lbfgs": FitSection(optimizer="lbfgs", steps=20),
    "adam, one batch": FitSection(optimizer="adam", steps=20, batch_rows=1000),
    "levenberg-marquardt": FitSection(optimizer="levenberg-marquardt", steps=20),
}


def product(rows: int = 200) -> Samples:
    """Samples of x·y."""
    x = torch.rand(rows, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Samples(x, x[:, :1] * x[:, 1:])


def three_advances(plan: FitSection, kan: KAN, sparsify: SparsifySection | None = None) -> list[float]:
    """The training losses after three advances."""
    optimizer = optimizer_for(kan, product(), plan, Objective("regression", sparsify))
    return [optimizer.advance((0, step)).train_loss for step in range(3)]


@pytest.mark.parametrize("name", PLANS)
def test_the_first_basis_is_computed_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses are those of a fit that computes it in every step, and the first layer is not asked again."""
    new = KAN(KANConfig((2, 3, 1), grid_size=4), dtype=torch.float64)
    kept = three_advances(PLANS[name], KAN.of_layers([layer.changed() for layer in new.layers]))
    calls: list[None] = []
    basis = KANLayer.basis

    def note(layer: KANLayer, x: torch.Tensor) -> torch.Tensor:
        if layer.inputs == 2:
            calls.append(None)
        return basis(layer, x)

    monkeypatch.setattr(KANLayer, "basis", note)
    three_advances(PLANS[name], KAN.of_layers([layer.changed() for layer in new.layers]))
    assert len(calls) == 1
    monkeypatch.setattr(known_rows, "_MOST_NUMBERS", 0)
    anew = three_advances(PLANS[name], KAN.of_layers([layer.changed() for layer in new.layers]))
    assert kept == pytest.approx(anew, rel=1e-6)
    assert kept[-1] < kept[0]


def test_a_layer_with_a_hook_is_called_in_every_step() -> None:
    """What users hang into a layer sees each forward pass of a fit."""
    kan = KAN(KANConfig((2, 3, 1), grid_size=4), dtype=torch.float64)
    seen: list[None] = []
    kan.layers[0].register_forward_hook(lambda *_: seen.append(None))
    three_advances(PLANS["lbfgs"], kan)
    assert len(seen) > 3


def test_a_penalty_that_is_not_finite_ends_a_fit_and_does_not_raise() -> None:
    """A huge network: the loss after the step is not a number, which `fit` takes as the end of the grid."""
    kan = KAN(KANConfig((2, 3, 1), grid_size=4), dtype=torch.float64)
    with torch.no_grad():
        kan.layers[0].base_weight.fill_(1e308)
    losses = three_advances(FitSection(optimizer="adam", steps=3), kan, SparsifySection(penalty=1e-3))
    assert not any(abs(loss) < torch.inf for loss in losses)
