"""One thing takes the place of another while requests are answered.

`succession` is the swap of versions: version 2 takes over from version 1, which lingers (`lingering`): it still answers
requests that name it. With several workers, a version that is withdrawn answers until all go back (`withdrawals`).
`adoption` lets models take other settings: a model that must be loaded again for them is loaded beside the one that
answers. Either way the old model is closed when its last lease ends (`closing`).
"""
