"""Limits on the size of a version: kan-train publishes no larger version, and kan-serve refuses one.

The limit on a manifest bounds a delay. A server parses manifests while it answers calls, and json holds the interpreter
lock while it parses a text. 8 MiB written by training (6,400 features with histograms) delay calls by 25 ms, 8 MiB
written by an attacker by 80 ms; 16 MiB delayed them by at least 280 ms. A manifest is also the answer of GetModel,
which may have 16 MiB.
"""

# Of manifest.json, and of its protobuf encoding, in which short numbers take more bytes.
MAX_MANIFEST_BYTES = 8 * 2**20
# Most features, most columns, most classes, and most columns of all outputs together. One row then takes 256 KiB.
MAX_WIDTH = 2**16
# Longest name (of a model, column, class, tensor, …), word of a column, or time.
MAX_NAME_CHARACTERS = 4096
# Longest recipe, formula (as text and as LaTeX) or command.
MAX_TEXT_CHARACTERS = 2**20
# Default of kan-serve's setting max_model_bytes, for model.onnx and its external data. Loading takes five times as much
# memory (onnxruntime 1.32): 640 MiB. deploy/ gives a container 1,536 MiB. With grpcio, requests may take all of that
# but 352 MiB, so a model this large needs a container with more memory (docs/operations.md#memory).
DEFAULT_MAX_MODEL_BYTES = 128 * 2**20
