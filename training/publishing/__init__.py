"""From a network to a version in a model repository.

`export` lowers the network and makes the files, `verify` compares them with the network in float64, `manifest`
describes them. `publish` puts them into the repository: whole or not at all, never over another version. It
writes in a folder of `staging`; `triton` writes Triton's config.pbtxt. `repository` and `version` read what is
published.
"""
