"""One loaded version: the onnxruntime session, its tensors, and the live model that joins them with a batcher."""
