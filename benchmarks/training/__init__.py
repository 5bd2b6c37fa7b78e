"""What a training step costs: ours beside efficient-kan, pykan, inkan and an MLP of equal parameters."""
