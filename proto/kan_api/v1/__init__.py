"""Code generated from prediction.proto and manifest.proto."""
