"""The plan of a verb, which is shown before anything is sent: its requests, and the most that they can cost."""

import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from classifier.errors import ConfigError
from launch.aws.cost import Bound, money


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan: its description in lines, the requests as they are sent, and the upper bound of the cost.

    If there are `warnings`, byoc asks the user, whatever the plan costs. `missing` names what the account lacks; a plan with something
    missing can be shown, but not sent.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    requests: tuple[tuple[str, Mapping[str, Any]], ...]
    cost: Bound
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self.title,
            **self._labelled(),
            "cost": {
                "at_most": self.cost.amount,
                "currency": self.cost.currency,
                "monthly": self.cost.monthly,
                "why": self.cost.why,
            },
            "warnings": list(self.warnings),
            "missing": list(self.missing),
            "requests": [{"operation": operation, "request": request} for operation, request in self.requests],
        }

    def _labelled(self) -> dict[str, str]:
        """Return the texts of the lines by their labels. Texts with the same label, such as several quotas, are joined with line breaks."""
        found: dict[str, str] = {}
        for label, text in self.lines:
            found[label] = f"{found[label]}\n{text}" if label in found else text
        return found

    def text(self) -> str:
        wide = max((len(label) for label, _ in self.lines), default=0)
        rows = [*self.lines, ("cost", str(self.cost))]
        lines = [self.title, *(f"  {label:<{max(wide, 4)}}  {value}" for label, value in rows)]
        lines += [f"  warning: {text}" for text in self.warnings]
        lines += [f"  missing: {text}" for text in self.missing]
        return "\n".join(lines)


def agreed(plan: Plan, options: Namespace, ask_above: float) -> bool:
    """Show the plan and return whether to send it.

    With --dry-run the plan is shown with its requests, and not sent. With --yes it is sent. A plan without warnings is also sent if its
    cost is known and at most `ask_above`. Otherwise byoc asks the user. Raises ConfigError if something is missing, or if byoc must ask and
    there is no terminal.
    """
    if options.dry_run:
        print(json.dumps(plan.to_json(), indent=2, default=str) if options.json else _with_requests(plan))
        return False
    print(plan.text(), file=_aside(options), flush=True)
    if plan.missing:
        raise ConfigError("\n".join(plan.missing))
    if options.yes or (plan.cost.amount is not None and plan.cost.amount <= ask_above and not plan.warnings):
        return True
    return _answered(plan, options, ask_above)


def outcome(options: Namespace) -> int:
    """Return the exit status of a verb whose plan is not sent: 0 after a dry run, 1 if the user refused."""
    return 0 if options.dry_run else 1


def _answered(plan: Plan, options: Namespace, ask_above: float) -> bool:
    why = _why_asked(plan, ask_above)
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(
            f"{why}, and byoc cannot ask without a terminal; pass --yes to send it, or --dry-run to look at it"
        )
    print(f"{why}; send it? [y/N] ", end="", file=_aside(options), flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    print("nothing was sent", file=_aside(options))
    return False


def _why_asked(plan: Plan, ask_above: float) -> str:
    if plan.cost.amount is None:
        return "the plan's cost is unknown"
    if plan.cost.amount > ask_above:
        limit = money(ask_above, plan.cost.currency)
        month = " a month" if plan.cost.monthly else ""
        return (
            f"the plan costs up to {plan.cost.money}{month}, more than your limit of {limit} (ask_above in byoc.toml)"
        )
    return "the plan has a warning"


def _aside(options: Namespace) -> TextIO:
    """Return the stream that the user reads: standard error if a program reads standard output."""
    return sys.stderr if options.json else sys.stdout


def _with_requests(plan: Plan) -> str:
    parts = [plan.text()]
    for operation, request in plan.requests:
        parts.append(f"{operation}\n{json.dumps(request, indent=2, default=str)}")
    parts.append("dry run: nothing was sent")
    return "\n\n".join(parts)
