"""Prepares names of classes and photos for use in sentences."""

import unicodedata

from classifier.names import one_line

FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
# Unicode bidirectional classes of right-to-left letters, and of marks that change the direction of the text after them.
TURNING = frozenset({"R", "AL", "RLE", "RLO", "LRE", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI"})


def isolated(name: str) -> str:
    """Return a name isolated so that right-to-left letters or marks in it do not change the direction of the words around it."""
    if all(unicodedata.bidirectional(letter) not in TURNING for letter in name):
        return name
    held = name.replace(POP_ISOLATE, "")  # this character in the name would end the isolation
    return f"{FIRST_STRONG_ISOLATE}{held}{POP_ISOLATE}"


def quoted(name: str) -> str:
    """Return a name on one line, between quotation marks."""
    return f"'{isolated(one_line(name))}'"
