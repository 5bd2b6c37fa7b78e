"""Parts of the manifest as messages: columns, features, histograms, pairs, the network."""
