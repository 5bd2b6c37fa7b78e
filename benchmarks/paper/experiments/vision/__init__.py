"""Digits as images of 8 × 8 pixels: a convolutional KAN, a flat KAN and a CNN of as many parameters."""

from benchmarks.paper.experiments.vision.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
