"""Prediction of long tables: rows in chunks or blocks, answers in order, fewer rows when the server is full."""
