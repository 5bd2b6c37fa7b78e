"""Choose the strategy of each layer: the fastest, by measurement, of those that are exact enough."""
