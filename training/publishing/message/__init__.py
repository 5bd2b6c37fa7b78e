"""Parts of the manifest as messages: columns, histograms, the network."""
