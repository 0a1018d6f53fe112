"""The emulator's own routes below /_local/ for faults and permissions."""

import json

from werkzeug.wrappers import Request, Response

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import ApiError
from local_test.sagemaker.faults import KINDS, read
from local_test.sagemaker.routes import route


@route("GET", "/_local/faults")
def listed(request: Request, cloud: Cloud) -> Response:
    return _json({"ordered": cloud.faults.listed(), "kinds": KINDS})


@route("POST", "/_local/faults")
def order(request: Request, cloud: Cloud) -> Response:
    try:
        cloud.faults.order(read(json.loads(request.get_data() or b"null")))
    except (ValueError, RecursionError) as error:
        return _json({"message": f"the body is not valid JSON: {error}"}, 400)
    except ApiError as error:
        return _json({"message": error.message}, error.status)
    return _json({"ordered": cloud.faults.listed()})


@route("DELETE", "/_local/faults")
def clear(request: Request, cloud: Cloud) -> Response:
    cloud.faults.clear()
    return _json({"ordered": []})


@route("GET", "/_local/permissions")
def permissions(request: Request, cloud: Cloud) -> Response:
    return _json(cloud.access.listed())


@route("DELETE", "/_local/permissions")
def forget_permissions(request: Request, cloud: Cloud) -> Response:
    cloud.access.clear()
    return _json({})


def _json(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content), status, content_type="application/json")
