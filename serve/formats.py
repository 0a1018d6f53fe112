"""The formats of requests and answers: media types, JSON instances, Custom-Attributes, and the forms of an answer."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from classifier.errors import UserError

# The types that refusals list. The bytes of a photo say which format it is; the type does not matter.
PHOTO_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "image/avif",
    "application/x-image",
    "application/octet-stream",
)
JSON_TYPES = ("application/json", "text/json")
SUPPORTED = (*PHOTO_TYPES, "application/json")
# Further types that are read as photos, since S3, curl and old programs send them. Any other image/... type, such as image/jpg, is also
# read as a photo.
_OTHER_PHOTO_TYPES = ("binary/octet-stream", "application/binary", "application/x-www-form-urlencoded")
# The forms of an answer, in order of preference: if Accept allows several, the first of these is used.
ACCEPTS = ("application/json", "application/json;verbose", "application/jsonlines", "text/csv")
MAX_TOP_K = 10_000
# The most photos in one request. They all occupy one worker, and each decoded photo takes 150 to 270 kB until all are computed.
MAX_INSTANCES = 500
MAX_LABELS = 1000 * MAX_INSTANCES  # the most labels in one answer, which then has 21 to 34 MB as JSON
# The most instances in a JSON body: many small values would take far more memory than the bytes of the body.
MAX_COMMAS = 20 * MAX_INSTANCES

Probabilities = npt.NDArray[np.float32]


class RequestError(UserError):
    """The client's request is wrong; the message names the remedy."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """The format of a request's body and of its answer."""

    json: bool  # the body is JSON with instances, not a photo
    accept: str  # one of ACCEPTS
    top_k: int | None  # labels in the answer; None means all classes in the verbose form, else the server's setting


def media_type(header: str | None) -> str:
    """Return a media type without its parameters and in lower case: image/jpeg for `image/JPEG; charset=utf-8`; empty for None."""
    return (header or "").partition(";")[0].strip().lower()


def is_photo_type(kind: str) -> bool:
    """Return whether a body of this media type is read as a photo."""
    return kind in PHOTO_TYPES or kind in _OTHER_PHOTO_TYPES or bool(re.fullmatch(r"image/[a-z0-9.+*_-]+", kind))


def accepted(header: str) -> str | None:
    """Return the form of ACCEPTS that an Accept header prefers (RFC 9110, 12.5.1), or None when it allows none."""
    best: tuple[float, int] | None = None
    for part in header.split(","):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if "verbose" in parameters and kind == "application/json":
            kind = "application/json;verbose"
        for place, ours in enumerate(ACCEPTS):
            group = kind.removesuffix("*") if kind.endswith("/*") else None
            if kind in (ours, "*/*") or (group and ours.startswith(group)):
                if quality > 0 and (best is None or (quality, -place) > best):
                    best = (quality, -place)
                break
    return None if best is None else ACCEPTS[-best[1]]


def requested_top_k(attributes: str) -> int | None:
    """Return the top_k in Custom-Attributes such as `top_k=10,trace=abc`, or None; raises RequestError for a value that is not valid."""
    found = re.search(r"(?:^|[,;\s])top_k=([^,;\s]*)", attributes)
    if not found:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", found[1]) or not 1 <= int(found[1]) <= MAX_TOP_K:
        raise RequestError(
            f"top_k={found[1][:20]} in X-Amzn-SageMaker-Custom-Attributes must be a whole number from 1 to {MAX_TOP_K:,}"
        )
    return int(found[1])


def read_instances(body: bytes) -> list[bytes]:
    """Return the photos in a body `{"instances": [{"b64": ...}, ...]}`; raises RequestError with the problem."""
    too_many = f"the body must hold at most {MAX_INSTANCES} instances; send the others in further requests"
    if body.count(b",") > MAX_COMMAS:
        raise RequestError(too_many)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not valid JSON ({str(error)[:100]})") from error
    instances = document.get("instances") if isinstance(document, dict) else None
    if not isinstance(instances, list) or not instances:
        fetched = " (nothing is fetched from addresses)" if isinstance(document, dict) and "url" in document else ""
        raise RequestError(
            f'the body must be {{"instances": [{{"b64": "..."}}, ...]}} with at least one instance{fetched}'
        )
    if len(instances) > MAX_INSTANCES:
        raise RequestError(too_many)
    photos = []
    for number, instance in enumerate(instances):
        text = instance.get("b64") if isinstance(instance, dict) else None
        if not isinstance(text, str):
            raise RequestError(f'instances[{number}] must be {{"b64": "..."}} with a photo in base64')
        if _BYTES_AS_TEXT.match(text):
            raise RequestError(
                f"instances[{number}].b64 is Python's way to print bytes (b'...'); send base64.b64encode(photo).decode()"
            )
        try:
            photos.append(_from_base64(text))
        except ValueError as error:
            raise RequestError(f"instances[{number}].b64 is not valid base64 ({str(error)[:80]})") from error
    return photos


def what_it_is(data: bytes, reason: str = "") -> str:
    """Return a clause that names the kind of the bytes, which are not a photo, and the remedy.

    The clause is empty if the kind is not known, or if `reason` already holds a remedy, after a semicolon.
    """
    if ";" in reason:
        return ""
    head = data[:2048].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] in (b"{", b"["):
        return "; it is JSON: send it with Content-Type application/json"
    if head[:1] == b"<":
        return "; it is a page of HTML or XML: send the bytes of a photo"
    if re.match(rb"--[^\r\n]+\r?\nContent-Disposition", head, re.IGNORECASE):
        return "; it is a form: send the bytes of the photo alone, as curl --data-binary does"
    if re.match(rb"(https?|s3|file)://", head, re.IGNORECASE):
        return "; it is an address, from which nothing is fetched: send the bytes of the photo"
    if _is_base64_of_a_photo(head):
        return '; it is base64 text: send the bytes that it encodes, or JSON {"instances": [{"b64": "..."}]}'
    return ""


def check_size(form: Form, photos: int, classes: int, top_k: int) -> None:
    """Raise RequestError if an answer for `photos` photos would list more than MAX_LABELS labels."""
    all_of_them = form.top_k is None and form.accept == "application/json;verbose"
    labels = photos * (classes if all_of_them else min(classes, form.top_k or top_k))
    if labels > MAX_LABELS:
        raise RequestError(
            f"the answer would list {labels:,} labels, at most {MAX_LABELS:,} are allowed; ask for fewer with top_k or send fewer photos"
        )


def write_answer(form: Form, rows: Probabilities, classes: Sequence[str], top_k: int) -> tuple[str, str]:
    """Return an answer's text and content type for probabilities [N, classes], one row for each photo of the request."""
    if form.accept == "application/json;verbose":
        described = [_verbose(row, classes, form.top_k) for row in rows]
        return json.dumps({"predictions": described} if form.json else described[0]), form.accept
    answers = [_pairs(row, classes, form.top_k or top_k) for row in rows]
    if form.accept == "text/csv":
        return "".join(_csv(answer) for answer in answers), form.accept
    if form.accept == "application/jsonlines":
        return "".join(json.dumps({"predictions": answer}) + "\n" for answer in answers), form.accept
    return json.dumps({"predictions": answers if form.json else answers[0]}), form.accept


_DATA_URI = re.compile(r"\s*data:[^,]*;\s*base64\s*,", re.IGNORECASE)
_BYTES_AS_TEXT = re.compile(r"\s*b['\"]")  # the beginning of str() of bytes
_MAGIC = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|....ftyp", re.DOTALL)


def _from_base64(text: str) -> bytes:
    """Return the bytes that base64 text encodes (RFC 4648); raises ValueError when it is not valid.

    It may have line breaks or the URL-safe alphabet, lack its padding, be percent-encoded, or be a data URI (RFC 2397).
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        uri = _DATA_URI.match(text)
        # The text may be percent-encoded, because + and / have a meaning in addresses.
        text = unquote(text[uri.end() :] if uri else text)
        if "+" not in text and len({len(piece) for piece in text.split(" ")[:-1]} - {0}) > 1:
            raise ValueError("each + has become a blank, as happens in web forms; send the text as it is") from None
        plain = "".join(text.split()).replace("-", "+").replace("_", "/")
        padding = "" if plain.endswith("=") else "=" * (-len(plain) % 4)
        return base64.b64decode(plain + padding, validate=True)


def _is_base64_of_a_photo(head: bytes) -> bool:
    text = _DATA_URI.sub("", _BYTES_AS_TEXT.sub("", head.decode("latin-1")).lstrip("\"' "), count=1)
    start = "".join(text.split())[:32]
    try:
        return len(start) == 32 and bool(_MAGIC.match(_from_base64(start)))
    except ValueError:
        return False


def _best(row: Probabilities, count: int) -> list[int]:
    count = min(count, len(row))
    part = np.argpartition(-row, count - 1)[:count]
    return [int(index) for index in part[np.argsort(-row[part], kind="stable")]]


def _pairs(row: Probabilities, classes: Sequence[str], top_k: int) -> list[dict[str, object]]:
    return [{"label": _text(classes[index]), "probability": float(row[index])} for index in _best(row, top_k)]


def _text(name: str) -> str:
    """Return a class name; raises UnicodeEncodeError when UTF-8 cannot hold it, since JSON would hide that with an escape."""
    name.encode()
    return name


def _verbose(row: Probabilities, classes: Sequence[str], top_k: int | None) -> dict[str, object]:
    """Return a photo's answer as the built-in TensorFlow algorithm gives it: all classes in their order, or the `top_k` best."""
    indices = list(range(len(row))) if top_k is None else _best(row, top_k)
    return {
        "probabilities": [float(row[index]) for index in indices],
        "labels": [_text(classes[index]) for index in indices],
        "predicted_label": _text(classes[int(row.argmax())]),
    }


def _csv(pairs: Sequence[Mapping[str, object]]) -> str:
    """Return a photo's line of CSV (RFC 4180): label, probability, label, probability and so on."""
    fields = [field for pair in pairs for field in (_quoted(str(pair["label"])), repr(pair["probability"]))]
    return ",".join(fields) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
