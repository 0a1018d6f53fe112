"""Runs in the SDK's environment, without a network.

For each specification on standard input it prints two requests by operation: the SDK's own request, and the one that byoc sends. If the SDK
raises an error, it prints the error instead.
"""

import copy
import functools
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from classifier.errors import UserError
from launch.aws import specification
from launch.aws.senders import sdk_program
from launch.aws.senders.wire import typed
from launch.aws.session import Session
from launch.aws.settings import Settings

PACKAGE = {
    "InferenceSpecification": {"Containers": [{"Image": "byoc-classifier-serve:cpu"}]},
    "ModelApprovalStatus": "Approved",
}


SESSION = Session(Settings(region="us-east-1", bucket="photos"))
EVENTS = SESSION.client("sagemaker").meta.events
# A session takes a second to make its clients, so all specifications share one.
OBJECTS = sdk_program.sdk_objects()
OBJECTS.sdk_session = functools.cache(OBJECTS.sdk_session)


def capture(job: dict[str, Any]) -> dict[str, Any]:
    session = SESSION
    client = session.client("sagemaker")
    client.meta.events = copy.copy(EVENTS)
    asked: dict[str, Any] = {}
    sent: dict[str, Any] = {}

    def ask(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked[model.name] = json.loads(json.dumps(params))

    def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        sent[model.name] = json.loads(params["body"])
        response = SimpleNamespace(status_code=200, headers={})
        if model.name == "DescribeModelPackage":
            return response, PACKAGE | {"ModelApprovalStatus": job["approval"]}
        return response, {member: f"arn:{member}" for member in model.output_shape.members}

    client.meta.events.register("provide-client-params.sagemaker", ask)
    wanted = typed(getattr(specification, job["wanted"]), job["specification"])
    watched = sdk_program.watch

    def watch(client: Any, planned: dict[str, Any], changes: dict[str, Any], way_out: sdk_program.Exit) -> None:
        watched(client, planned, changes, way_out)
        client.meta.events.register("before-call.sagemaker", answer)

    try:
        sdk_program.watch = watch
        sdk_program.send(wanted, session, sdk_program.Exit())
    except UserError as error:
        return {"error": str(error), "asked": asked, "sent": sent}
    finally:
        sdk_program.watch = watched
    return {"asked": asked, "sent": sent}


# The answers begin on a new line, because the SDK may write to standard output too.
print("ANSWERS " + json.dumps([capture(job) for job in json.load(sys.stdin)]))
