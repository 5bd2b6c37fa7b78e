"""attribution.onnx: how much slower than model.onnx, how much faster than KernelSHAP, how near exact Shapley values."""
