"""Features that no edge of a network reads."""

import numpy as np
from numpy.typing import NDArray

from kan_model.network.transform import InputTransform


def find_unread(read: NDArray[np.int64], features: int, inputs: InputTransform | None) -> NDArray[np.bool_]:
    """Find the features of which neither the value nor the gap input is read.

    Args:
        read: The network's inputs that some edge reads.
        features: How many features there are.
        inputs: Their transform, which may have gap inputs.

    Returns:
        bool ``[features]``, True where nothing is read.
    """
    unread = np.ones(features, bool)
    unread[read[read < features]] = False
    if inputs is not None and inputs.gaps is not None:
        unread[inputs.gaps] = False
    return unread
