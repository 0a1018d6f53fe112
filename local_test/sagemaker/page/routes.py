"""The page's routes: the overview, logs, S3 and faults, and the forms that stop a job and order a fault."""

import json
from dataclasses import asdict
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from local_test.sagemaker.actions import ACTIONS
from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.errors import ApiError, invalid
from local_test.sagemaker.faults import ANY, read
from local_test.sagemaker.faults import KINDS as FAULTS
from local_test.sagemaker.jobs import KINDS as JOBS
from local_test.sagemaker.page.overview import MOST, TITLES, log, moment, overview, text
from local_test.sagemaker.page.rendering import HEADERS, html, plain
from local_test.sagemaker.routes import route
from local_test.sagemaker.s3 import listing
from local_test.sagemaker.settings import REGION

REFRESH = 5  # seconds between two loads of the page; ?refresh=0 switches this off
LINES = 200  # the most lines of a log that are shown
PAGE = 200  # the most objects on a page
# The parameters that links keep if they differ from these defaults.
PARAMETERS = {"region": REGION, "refresh": str(REFRESH)}


@route("GET", "/_local/?")
def shown(request: Request, cloud: Cloud) -> Response:
    try:
        refresh, most = _number(request, "refresh", REFRESH), _number(request, "most", MOST)
    except ApiError as error:
        return plain(f"{error.message}\n", error.status)
    found = overview(cloud, most)
    if _wants_json(request):
        return _json(asdict(found))
    return html(
        "overview.html", found=found, titles=TITLES, refresh=refresh, query=_query(request), again=_again(request)
    )


@route("GET", "/_local/logs/(?P<kind>[a-z-]+)/(?P<name>[A-Za-z0-9-]+)")
def logs(request: Request, cloud: Cloud, kind: str, name: str) -> Response:
    try:
        tails = log(cloud, kind, name, _number(request, "lines", LINES))
    except ApiError as error:
        return plain(f"{error.message}\n", error.status)
    if not tails:
        return plain(f"there is no log of {kind} {name}; logs end with the emulator that wrote them\n", 404)
    return plain(text(tails))


@route("GET", "/_local/s3/(?P<bucket>[^/]+)/?")
def objects(request: Request, cloud: Cloud, bucket: str) -> Response:
    if not cloud.storage.has_bucket(bucket):
        return plain(f"there is no bucket {bucket!r}\n", 404)
    prefix, after = request.args.get("prefix", ""), request.args.get("after", "")
    found = listing.page(cloud.storage.index, bucket, prefix, "/", after, PAGE)
    rows = [
        {"key": row.key, "size": row.size, "modified": moment(row.modified), "file": row.file} for row in found.rows
    ]
    more = found.last if found.truncated else None
    if _wants_json(request):
        return _json({"bucket": bucket, "prefix": prefix, "folders": found.folders, "objects": rows, "after": more})
    return html(
        "objects.html", bucket=bucket, prefix=prefix, folders=found.folders, rows=rows, more=more, query=_query(request)
    )


@route("GET", "/_local/order")
def form(request: Request, cloud: Cloud) -> Response:
    return html("order.html", kinds=FAULTS, any=ANY, query=_query(request))


@route("POST", "/_local/order")
def order(request: Request, cloud: Cloud) -> Response:
    fields = request.form.to_dict()
    try:
        cloud.faults.order(read({name: value for name, value in fields.items() if value}))
    except ApiError as error:
        return plain(f"{error.message}\n", error.status)
    return _back(request)


@route("POST", "/_local/clear")
def clear(request: Request, cloud: Cloud) -> Response:
    cloud.faults.clear()
    return _back(request)


@route("POST", "/_local/stop")
def stop(request: Request, cloud: Cloud) -> Response:
    try:
        kind = JOBS.get(request.form.get("kind", ""))
        if kind is None:
            raise invalid(f"kind is '{request.form.get('kind', '')}'; write a kind of job, such as training-job")
        ACTIONS[kind.stop].function({kind.name: request.form.get("name", "")}, cloud)
    except ApiError as error:
        return plain(f"{error.message}\n", error.status)
    return _back(request)


def _back(request: Request) -> Response:
    return Response(status=303, headers={**HEADERS, "Location": f"/_local/{_query(request)}"})


def _wants_json(request: Request) -> bool:
    wanted = request.args.get("format")
    return wanted == "json" or (
        wanted is None and request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    )


def _json(content: object) -> Response:
    return Response(json.dumps(content), 200, HEADERS, content_type="application/json")


def _number(request: Request, name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise invalid(f"{name} is '{text}'; write a number from 0 to 9999999")
    return int(text)


def _kept(request: Request) -> dict[str, str]:
    return {name: request.args[name] for name, usual in PARAMETERS.items() if request.args.get(name, usual) != usual}


def _query(request: Request) -> str:
    """Return the query string that the page's links and forms keep."""
    kept = urlencode(_kept(request))
    return f"?{kept}" if kept else ""


def _again(request: Request) -> str:
    """Return the parameters of this page with its refresh switched off, or on again."""
    kept = _kept(request)
    switched = {**kept, "refresh": "0"} if kept.get("refresh") != "0" else {**kept, "refresh": str(REFRESH)}
    return f"?{urlencode(switched)}"
