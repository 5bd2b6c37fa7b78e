"""Ensembles that are one network: the mean of several networks, before the transform of their outputs.

    mean(x) = 1/M · Σ_m f_m(x),    f_m(x) = W_m · h_m(x)

The hidden nodes of all members stand side by side, and no edge leads from one member's to another's. The last layer
reads all of them, its edges divided by M. So the mean is exactly one wider KAN, and it is trained, pruned, drawn,
lowered and stored as any other.

Example: 4 members of [16, 16, 8, 3] are one network of [16, 64, 32, 3]. Its middle layer has 4 blocks of 16 · 8 edges;
the other 1,536 of its 2,048 edges are masked. :func:`kan_model.ensemble.members.members_of` gives the members back.
"""
