"""Long tables over a stream: rows in blocks, answers in order, and a pace that the server sets."""
