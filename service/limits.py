"""Bounds that more than one part keeps."""

# Messages of one stream that are being answered, or whose answers the caller has not taken: the next is not read
# before one of them is done, and the transport's flow control then holds the caller back.
MESSAGES_IN_FLIGHT = 64
