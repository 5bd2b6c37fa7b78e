"""What a server process writes on its standard streams: log lines, and one line that says where it listens.

`log` sets up the log, `repeats` limits a message that repeats, `ready_line` is the line that scripts wait for, and
`standard_streams` writes it. Example: "kan-serve ready: grpc=127.0.0.1:8001 http=127.0.0.1:8002 models=digits/1".
"""
