"""The tests. A package, so that `from tests.kit import …` finds ours where another package brings a folder "tests"."""
