"""The functions that the paper fits: five toys, fifteen special functions, 27 equations of Feynman's lectures.

The paper prints no ranges for most of them; those here are ours.
"""
