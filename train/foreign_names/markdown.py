"""The table of all rules in docs/hyperparameters.md."""

from train.foreign_names.rule import Rule
from train.foreign_names.rules import RULES


def table() -> str:
    """Return all rules as a Markdown table; docs/hyperparameters.md holds the same one."""
    rows = ["| hyperparameters of other programs | here |", "| --- | --- |"]
    for rule in RULES:
        names = ", ".join(f"`{name}`" for name in rule.names)
        rows.append(f"| {names} | {_meaning(rule)} |")
    return "\n".join(rows)


def _meaning(rule: Rule) -> str:
    why = f": {rule.answer}" if rule.answer else ""
    if rule.values is None:
        return f"read as `{rule.ours}`{why}" if rule.ours else f"ignored{why}"
    if not rule.values:
        return f"refused{why}"
    if rule.ours:
        values = ", ".join(f"{theirs} is {ours}" for theirs, ours in rule.values.items())
        return f"read as `{rule.ours}`, where {values}; other values are refused{why}"
    return f"ignored when it is {' or '.join(rule.values)}, else refused{why}"
