"""Measurements: ratios between ours and others, side by side in one run, each with the bound that it must hold."""
