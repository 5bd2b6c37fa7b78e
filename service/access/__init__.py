"""The rights of callers: bearer tokens with their quotas, and the certificates of TLS. No gRPC, no HTTP.

A token file holds the SHA-256 of each token, never a token:

    [tokens.checkout]
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    models = ["fraud-*"]              # default: every model
    methods = ["Predict", "GetModel"] # default: every method but those that load and unload models
    rows_per_second = 5000            # default: no quota
    expires = 2027-01-31              # default: never

`kan-serve token checkout tokens.toml` makes a token and adds its table to the file.
"""
