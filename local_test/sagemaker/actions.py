"""The actions of SageMaker's API that the emulator answers, by name.

An action is a function in the module of its subject: `@action("DescribeModel") def describe(request, cloud) -> dict`.
Its request has passed the API model (shapes.py) and the action's own rules. It raises ApiError to refuse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_test.sagemaker.cloud import Cloud

Request = dict[str, Any]
Answer = dict[str, Any]
Function = Callable[[Request, Cloud], Answer]
# A rule over several members of a request, which the API model cannot express. It raises ApiError. A comment names its source.
Rule = Callable[[Request], None]


@dataclass(frozen=True)
class Action:
    """A function that answers an action, and the rules for its requests."""

    function: Function
    rules: tuple[Rule, ...]


ACTIONS: dict[str, Action] = {}
# moto answers these well enough, in the same process. Every other action of SageMaker is refused by name, because moto's
# answers may be wrong: it would answer CreateProcessingJob with a job that is Completed at once.
MOTO = frozenset(
    {
        "CreateModelPackage",
        "CreateModelPackageGroup",
        "DescribeModelPackage",
        "DescribeModelPackageGroup",
        "ListModelPackageGroups",
        "ListModelPackages",
        "Search",
        "UpdateModelPackage",
    }
)


class ForMoto(Exception):
    """An action raises this if its request is about a resource that moto holds; then moto answers it."""


def action(name: str, *rules: Rule) -> Callable[[Function], Function]:
    """Register the function that answers an action."""

    def register(function: Function) -> Function:
        ACTIONS[name] = Action(function, rules)
        return function

    return register
