"""SageMaker's resources. Each one holds the request that created it, and its state since then.

Describe answers both together, so a new member in the request of a newer SDK is returned without any code for it.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_test.sagemaker.errors import ApiError

State = dict[str, Any]


@dataclass
class Resource:
    """One job, model or endpoint; `kind` is the word of its ARN, as in training-job."""

    kind: str
    name: str
    arn: str
    request: State
    state: State
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def answer(self) -> State:
        """Return the members that Describe answers."""
        return {**self.request, **self.state}


class Store:
    """The resources of one region, in memory and in one JSON file each, so that they survive a restart.

    A resource's members are changed only through `update`. A thread waits for a change in `wait`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._resources: dict[tuple[str, str], Resource] = {}
        # Resources that could not be written because the disk was full; their files are out of date.
        self._unsaved: dict[tuple[str, str], Resource] = {}
        self._changed = threading.Condition(threading.RLock())
        for path in sorted(folder.glob("*/*.json")):
            resource = Resource(**json.loads(path.read_text()))
            self._resources[resource.kind, resource.name] = resource

    def add(self, resource: Resource, in_use: str) -> None:
        """Keep a new resource; raises ApiError ResourceInUse with the sentence `in_use` if the name is taken.

        A resource that cannot be written is refused, for instance if the disk is full.
        """
        now = time.time()
        with self._changed:
            # Names that differ only in upper and lower case have the same ARN.
            if any(entry.arn == resource.arn for entry in self._resources.values()):
                raise ApiError("ResourceInUse", in_use)
            resource.state = {"CreationTime": now, "LastModifiedTime": now, **resource.state}
            try:
                self._write(resource)
            except OSError as error:
                message = f"the data folder {self._folder} cannot be used: {error.strerror}"
                raise ApiError("InternalFailure", message, 500) from None
            self._resources[resource.kind, resource.name] = resource

    def get(self, kind: str, name: str, missing: str) -> Resource:
        """Return a resource; raises ApiError ValidationException with the sentence `missing` if it does not exist.

        Clients recognise a missing resource by this code and this sentence, not by ResourceNotFound.
        """
        if found := self.find(kind, name):
            return found
        raise ApiError("ValidationException", missing)

    def find(self, kind: str, name: str) -> Resource | None:
        with self._changed:
            return self._resources.get((kind, name))

    def find_arn(self, arn: str) -> Resource | None:
        with self._changed:
            return next((resource for resource in self._resources.values() if resource.arn == arn), None)

    def all(self, kind: str) -> list[Resource]:
        """Return a kind's resources, the oldest first."""
        with self._changed:
            return [resource for (of, _), resource in self._resources.items() if of == kind]

    def update(self, resource: Resource, **state: Any) -> None:
        """Set members of a resource's state; None removes a member."""
        with self.changing(resource) as members:
            for name, value in state.items():
                if value is None:
                    members.pop(name, None)
                else:
                    members[name] = value

    @contextlib.contextmanager
    def changing(self, resource: Resource) -> Iterator[State]:
        """Change a resource's state in one step, so that no other thread sees a part of the change."""
        with self._changed:
            yield resource.state
            resource.state["LastModifiedTime"] = time.time()
            self._save(resource)
            self._changed.notify_all()

    def save(self, resource: Resource) -> None:
        """Write a resource whose tags have changed."""
        with self._changed:
            self._save(resource)

    def remove(self, resource: Resource) -> None:
        with self._changed:
            self._resources.pop((resource.kind, resource.name), None)
            self._unsaved.pop((resource.kind, resource.name), None)
            self._path(resource).unlink(missing_ok=True)
            self._changed.notify_all()

    def snapshot(self, resource: Resource) -> State:
        """Return a copy of the members that Describe answers, all from the same moment."""
        with self._changed:
            answer: State = json.loads(json.dumps(resource.answer))
            return answer

    def wait(self, ready: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until a change makes `ready()` true, for at most `seconds`. Return the last value of `ready()`."""
        with self._changed:
            return self._changed.wait_for(ready, seconds)

    def _path(self, resource: Resource) -> Path:
        return self._folder / resource.kind / f"{resource.name}.json"  # names hold letters, digits and hyphens

    def _save(self, resource: Resource) -> None:
        """Write a resource, and the resources that could not be written before.

        If the disk is full, the resources in memory stay in use.
        """
        self._unsaved[resource.kind, resource.name] = resource
        for key, entry in list(self._unsaved.items()):
            try:
                self._write(entry)
            except OSError as error:
                print(f"byoc: {entry.kind} {entry.name} is not written: {error}", file=sys.stderr, flush=True)
                return
            del self._unsaved[key]

    def _write(self, resource: Resource) -> None:
        path = self._path(resource)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(vars(resource)))
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise


def arn(region: str, account: str, kind: str, name: str) -> str:
    """Return a resource's ARN; in it SageMaker writes names in lower case."""
    return f"arn:aws:sagemaker:{region}:{account}:{kind}/{name.lower()}"


def tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    """Return a request's tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags") or []}
