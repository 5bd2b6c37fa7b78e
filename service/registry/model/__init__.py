"""One loaded version: its onnxruntime session, its tensors, and the live model that puts a batcher before them.

`closing` closes a live model once its last lease has ended.
"""
