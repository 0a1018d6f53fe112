"""Makes names of classes and photos safe to put into sentences."""

import unicodedata

from classifier.names import one_line

FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
# Letters that are written from right to left, and marks that turn the direction of what follows them.
TURNING = frozenset({"R", "AL", "RLE", "RLO", "LRE", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI"})


def isolated(name: str) -> str:
    """Return a name isolated so that right-to-left letters or marks in it do not change the direction of the words around it."""
    if all(unicodedata.bidirectional(letter) not in TURNING for letter in name):
        return name
    held = name.replace(POP_ISOLATE, "")  # it would end the isolation
    return f"{FIRST_STRONG_ISOLATE}{held}{POP_ISOLATE}"


def quoted(name: str) -> str:
    """Return a name between quotation marks, on one line."""
    return f"'{isolated(one_line(name))}'"
