"""Networks on images: convolutions whose taps are learned functions, then a flat KAN.

A convolution maps x [rows, channels, height, width] to

    y[o, p] = Σ_c Σ_k φ_ock(x[c, p·stride + k])

x is padded with zeros, so an output at the edge of the image sees φ(0). Example: one channel, a kernel of 3 and no
padding: an output is the sum of 9 functions, one for each pixel of a 3×3 patch.

All taps of a channel read the same pixel values, so they share one grid. A convolution is therefore one
:class:`kan_model.KANLayer` on single pixels, whose sums are then shifted and added.
"""
