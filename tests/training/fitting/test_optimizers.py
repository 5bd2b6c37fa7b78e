"""What the optimizers compute once for rows that stay the same changes nothing but the last digits."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from kan_model import KAN, KANConfig
from kan_model.network.layer import KANLayer
from kan_model.rows import known_rows
from training.data.samples import Samples
from training.fitting.fit import fit_module
from training.fitting.optimizers import Augment, Objective, optimizer_for
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


def test_each_epoch_sees_rows_that_were_made_for_it() -> None:
    """The same ones after a stop. Rows that come out as they went in change nothing, to the bit."""
    plan = FitSection(steps=20, batch_rows=50)
    seen: list[torch.Tensor] = []

    def losses(augment: Augment | None) -> list[float]:
        kan = KAN(KANConfig((2, 3, 1), grid_size=4), dtype=torch.float64)
        optimizer = optimizer_for(kan, product(), plan, Objective("regression", augment=augment))
        return [optimizer.advance((0, step)).train_loss for step in (0, 1, 1)]

    def move(x: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
        seen.append(x + float(generator.uniform(-0.1, 0.1)))
        return seen[-1]

    assert losses(lambda x, _: x.clone()) == losses(None)
    assert losses(move) != losses(None)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], seen[2])


def test_each_stage_of_a_fit_draws_other_changes() -> None:
    """A second fit of the same plan, as on the next grid, changes the rows in another way; the same stage alike."""
    plan, rows = FitSection(steps=1, batch_rows=50), product()

    def changes(stage: int) -> list[float]:
        drawn: list[float] = []

        def note(x: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
            drawn.append(float(generator.uniform()))
            return x

        kan = KAN(KANConfig((2, 3, 1), grid_size=4), dtype=torch.float64)
        fit_module(kan, rows, rows, plan, "regression", augment=note, stage=stage)
        return drawn

    assert changes(0) == changes(0)
    assert changes(0) != changes(1)


def test_adam_minimizes_the_loss_of_smoothed_labels() -> None:
    """The loss of the first step is torch's of the network before it, in one batch or in several."""
    x = product().x
    rows = Samples(x, (x[:, 0] > 0).long())
    for share in (0.0, 0.3):
        kan = KAN(KANConfig((2, 3), grid_size=4), dtype=torch.float64)
        wanted = float(cross_entropy(kan(x).detach(), rows.y, label_smoothing=share))
        for batch_rows in (200, 50):
            plan = FitSection(label_smoothing=share, batch_rows=batch_rows, learning_rate=1e-12)
            found = optimizer_for(kan, rows, plan, Objective("classification")).advance((0, 0)).train_loss
            assert found == pytest.approx(wanted, rel=1e-7)
