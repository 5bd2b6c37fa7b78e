"""Bounds that more than one part keeps."""

# Messages of one stream that are being answered, or whose answers the caller has not taken: the next is not read
# before one of them is done, and the transport's flow control then holds the caller back.
MESSAGES_IN_FLIGHT = 64

# What a front end holds of a call that it does not read: HTTP/2's first window, that of gRPC's clients too.
UNREAD_BYTES = 64 * 1024

# Calls of health and reflection whose messages are received at once behind grpcio: its core does not know that they
# are short.
APART_RECEIVING = 2

# Bodies that Envoy waits for at once. Each may become the largest message before Python hears of it; the calls beyond
# reach Python at once, which counts what they hold and refuses whom it has no room for. A body that its caller sends in
# one piece is there before the next call is looked at, so that calls seldom wait beside each other.
WAITING_BODIES = 4

# Calls of one connection that are open at once; its client keeps more of them waiting.
CONNECTION_STREAMS = 1000

# Longest body in JSON. Envoy's one thread converts it at 50 MB a second and answers nobody else meanwhile, in six times
# its memory.
MAX_JSON_BYTES = 2 * 2**20

# Longest time of a connection's TLS handshake.
HANDSHAKE_SECONDS = 10
