"""A small causal language model, whose blocks hold a KAN where a transformer has an MLP.

    x ← x + attention(norm(x))
    x ← x + mixer(norm(x))          mixer: an MLP d → 4d → d, or a KAN d → h → d of as many parameters

`text` is what it reads, `network` the model, `training` its fit, `graph` the model as ONNX, `export` the same by
torch.onnx, `speed` their times, `sampling` text that it writes, `contest` one run, `pictures` what the runs show. The
experiment is `benchmarks.paper.experiments.language`.
"""
