"""The training settings of the tests: short runs of small networks, each with its purpose."""

__all__ = ["SMALL", "TINY", "TINY_LONG", "TINY_NETWORK", "TINY_SERIES"]

# For tests that say themselves how long to train.
TINY_NETWORK = {"width": 16, "n_blocks": 1, "random_state": 0, "progress": False}

# Enough to have every fitted attribute, too little to have learned anything. Under a second.
TINY = {**TINY_NETWORK, "max_iter": 20}

# The same for series: the shortest windows, and windows that hold a period of the waves.
TINY_SERIES = {**TINY, "window_lengths": (4, 8)}
TINY_LONG = {**TINY, "window_lengths": (8, 32)}

# Enough to have learned the dependences of a table of a few columns. A few seconds.
SMALL = {"max_iter": 400, "width": 64, "random_state": 0, "progress": False}
