"""Models whose right answers are known.

- `graphs`: small ONNX graphs that numpy computes too. `repository`: versions of them on disk.
- `digits`: the demo model, trained by `kan-train`.
"""
