"""Prints the table of rules in docs/reports.md: `python -m reports.rules`."""

from reports.rules.table import RULES, RULES_ACROSS
from reports.rules.thresholds import SETS


def table() -> str:
    """Return a Markdown table of the rules, with their limits in each set of thresholds."""
    head = f"| rule | finds | {' | '.join(one.name for one in SETS)} |\n| {' | '.join(['---'] * (2 + len(SETS)))} |"
    rows = [
        f"| {rule.name} | {rule.about} | {' | '.join(rule.limits(one) for one in SETS)} |"
        for rule in (*RULES, *RULES_ACROSS)
    ]
    return "\n".join([head, *rows])


if __name__ == "__main__":
    print(table())
