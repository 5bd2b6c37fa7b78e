"""One loaded version: its onnxruntime session, its tensors, and the live model that puts a batcher before them."""
