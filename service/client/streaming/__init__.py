"""Prediction of long tables: rows in chunks or blocks, answers in order, fewer rows when the server is full.

`conversation` and `block_stream` decide which call comes next and what an answer means, without a transport.
`streams` (threads) and `async_streams` (asyncio) only send, wait and receive for them.
"""
