"""The Open Inference Protocol, as KServe and Triton speak it: code generated from the .proto files beside it."""
