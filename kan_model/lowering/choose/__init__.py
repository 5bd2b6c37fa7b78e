"""Chooses the strategy of each layer: the fastest by measurement among those that are exact enough."""
