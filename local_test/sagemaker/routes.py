"""Paths that the emulator answers, besides SageMaker's actions: those of the runtime, and its own below /_local/."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Request, Response

from local_test.sagemaker.cloud import Cloud

# The named groups of the path's expression become keyword arguments.
Function = Callable[..., Response]


@dataclass(frozen=True)
class Route:
    """A route: an HTTP method, an expression for paths, and the function that answers."""

    method: str
    path: re.Pattern[str]
    function: Function


ROUTES: list[Route] = []


def route(method: str, path: str) -> Callable[[Function], Function]:
    """Register `function(request, cloud, **groups)` for a method and a path."""

    def register(function: Function) -> Function:
        ROUTES.append(Route(method, re.compile(path), function))
        return function

    return register


def answer(request: Request, cloud: Cloud) -> Response | None:
    """Return the answer of the route for the request's path, or None if no route has this path."""
    for entry in ROUTES:
        if entry.method == request.method and (match := entry.path.fullmatch(request.path)):
            return entry.function(request, cloud, **match.groupdict())
    return None
