"""Answers of a network to many rows, block by block: those of `kan_model.rows.blocks`, for fits and metrics."""

from kan_model.rows.blocks import answers, block_rows

__all__ = ["answers", "block_rows"]
