"""The spellings of yes and no, in hyperparameters, environment variables and byoc.toml's variables."""

_YES = frozenset(("true", "yes", "on", "1", "y", "t"))
_NO = frozenset(("false", "no", "off", "0", "n", "f"))


def yes_or_no(text: str) -> bool | None:
    """Return True for a spelling of yes and False for one of no, ignoring case and outer blanks; None for other text."""
    text = text.strip().lower()
    return True if text in _YES else False if text in _NO else None
