"""The way of a recipe that starts anew: its fit, what is kept of it, what judges it, and the refit on all rows."""
