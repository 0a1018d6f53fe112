"""Checks of everything that depends on a GPU, with one verdict a line:

make gpu-check. They run without pytest, on a machine that has a GPU.
"""

MEASURED, RIGHT = "measured", "right"
WRONG = "wrong"  # this verdict makes the script end with status 1
