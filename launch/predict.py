"""Send photos to a running server."""

import contextlib
import http.client
import json
import mimetypes
import sys
import urllib.error
import urllib.request
from argparse import Namespace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from classifier.errors import ConfigError, UserError
from classifier.images import read_photo
from classifier.names import one_line

TIMEOUT = 70  # seconds; the platform answers within 60


def predict(url: str, path: Path) -> list[list[dict[str, Any]]]:
    """Return each photo's labels and probabilities, best first: one photo for a photo's file, many for a JSON request.

    Raises ConfigError for an address that is none, and UserError with the server's sentence.
    """
    guessed = mimetypes.guess_type(path.name)[0] or ""
    known = guessed.startswith("image/") or guessed == "application/json"
    kind = guessed if known else "application/octet-stream"
    request = urllib.request.Request(_address(url), data=read_photo(path), headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise UserError(f"{one_line(path)}: {error.code} {_message(error)[:500]}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = one_line(f"{error}".strip() or type(error).__name__)[:200]
        raise UserError(f"no server answers at {url} ({reason}); start one with: byoc serve DIR") from error
    return _rankings(text, url)


def command(options: Namespace) -> int:
    """`byoc predict`: print a line for each photo; status 1 when any file failed."""
    _address(options.url)
    failed = False
    for path in options.files:
        name = one_line(path)
        try:
            rankings = predict(options.url, path)
            for number, best in enumerate(rankings):
                photo = name if len(rankings) == 1 else f"{name}[{number}]"
                told = ", ".join(f"{one_line(item['label'])} {item['probability']:.4f}" for item in best)
                print(f"{photo}: {told}", flush=True)
        except UserError as error:
            failed = True
            print(error if name in str(error) else f"{name}: {error}", file=sys.stderr)
    return int(failed)


def _address(url: str) -> str:
    """Return where photos go; raises ConfigError for what is not the address of a server."""
    with contextlib.suppress(ValueError):
        whole = url if "://" in url else f"http://{url}"
        parts = urlsplit(whole)
        usable = (
            parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        )  # a wrong port is a ValueError
        if usable and whole.isascii() and whole.isprintable() and " " not in whole:
            return f"{whole.rstrip('/').removesuffix('/invocations').rstrip('/')}/invocations"
    raise ConfigError(f"--url is {url!r}; write the server's address, as in http://127.0.0.1:8080")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        text = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return error.reason
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        text = str(json.loads(text)["message"])
    return one_line(text.strip()) or error.reason


def _rankings(text: bytes, url: str) -> list[list[dict[str, Any]]]:
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        answer = json.loads(text)["predictions"]
        rankings: list[list[dict[str, Any]]] = answer if isinstance(answer[0], list) else [answer]
        if all(_is_prediction(item) for ranking in rankings for item in ranking) and all(rankings):
            return rankings
    begin = one_line(text[:200].decode(errors="replace"))
    raise UserError(f"{url} does not answer as byoc serve does, it says {begin!r}; ask such a server with curl")


def _is_prediction(item: Any) -> bool:
    return isinstance(item["label"], str) and isinstance(item["probability"], int | float)
