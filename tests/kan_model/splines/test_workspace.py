"""Memory that is used again, and by nobody twice at once."""

import gc

import torch

from kan_model.splines import workspace
from kan_model.splines.workspace import Workspace

SHAPE = (64, 1024)


def test_an_array_is_used_again_after_its_borrower_is_gone() -> None:
    """Two borrowers at once have two arrays; the next one has that of a borrower that is gone."""
    like = torch.zeros(1)
    first, second = Workspace(SHAPE, like), Workspace(SHAPE, like)
    places = {first.array.data_ptr(), second.array.data_ptr()}
    assert len(places) == 2
    del first, second
    gc.collect()
    assert Workspace(SHAPE, like).array.data_ptr() in places
    assert Workspace(SHAPE, like.double()).array.dtype == torch.float64
    assert Workspace((8, 8), like).array.shape == (8, 8)


def test_only_so_many_arrays_are_kept() -> None:
    """Of one shape four are kept, of all shapes 8,388,608 numbers; a large array is kept by nobody."""
    like = torch.zeros(1)
    pool = workspace._pool
    many = [Workspace(SHAPE, like) for _ in range(9)]
    many.append(Workspace((2**11, 2**11), like))
    del many
    gc.collect()
    assert len(pool._free[SHAPE, torch.float32]) == 4
    assert ((2**11, 2**11), torch.float32) not in pool._free
    for rows in range(400):
        Workspace((rows + 64, 1024), like)
    kept = [array for same in pool._free.values() for array in same]
    assert 0 < sum(array.numel() for array in kept) == pool.numbers <= 2**23


def test_arrays_of_inference_mode_stay_there() -> None:
    """Torch refuses them elsewhere, so they are not used again."""
    with torch.inference_mode():
        inside = Workspace(SHAPE, torch.zeros(1)).array
    assert inside.is_inference()
    assert not Workspace(SHAPE, torch.zeros(1)).array.is_inference()
