"""Sends photos to a running server."""

import contextlib
import http.client
import json
import mimetypes
import sys
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from classifier.errors import ConfigError, UserError
from classifier.names import one_line
from launch.aws.errors import AwsError

Rankings = list[list[dict[str, Any]]]  # labels and probabilities of each photo, best first
USUAL = 100_000_000  # bytes; no file up to this size can exceed the limit for a photo
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
DEFAULT = "http://127.0.0.1:8080"
TIMEOUT = 70  # seconds to wait for an answer; SageMaker gives a model 60


def predict(url: str, path: Path, *, top_k: int = 0) -> Rankings:
    """Send a file to the server and return each photo's labels and probabilities, best first. A JSON file may hold many photos.

    `top_k` is the most labels for each photo; 0 means the server's default. Raises ConfigError if `url` is not an address, and UserError
    with the server's message if the server refuses the file.
    """
    headers = {"Content-Type": content_type(path)}
    if top_k:
        headers[ATTRIBUTES] = f"top_k={top_k}"
    request = urllib.request.Request(address(url), data=read(path), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise UserError(f"{one_line(path)}: {error.code} {_message(error)[:500]}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = one_line(f"{error}".strip() or type(error).__name__)[:200]
        raise UserError(f"no server answers at {url} ({reason}); start one with: byoc serve DIR") from error
    return rankings(text, url)


def command(options: Namespace) -> int:
    """`byoc predict`: print a line for each photo. Returns 1 if any file failed."""
    url = options.url or DEFAULT
    address(url)
    return tell(options.files, lambda path: predict(url, path), as_json=options.json)


def tell(files: Sequence[Path], ask: Callable[[Path], Rankings], *, as_json: bool) -> int:
    """Print the answer for each file, as a line for each photo or one JSON list at the end, also after Ctrl-C. Returns 1 if any file
    failed.
    """
    entries: list[dict[str, Any]] = []
    try:
        _ask_all(files, ask, entries, as_json=as_json)
    finally:  # an interrupt or an error of AWS does not lose the answers before it
        if as_json and entries:
            print(json.dumps(entries, indent=2))
    return int(any("error" in entry for entry in entries))


def _ask_all(
    files: Sequence[Path], ask: Callable[[Path], Rankings], entries: list[dict[str, Any]], *, as_json: bool
) -> None:
    """Add the answer for each file to `entries`, and print it unless `as_json`."""
    for path in files:
        name = one_line(path)
        try:
            found = ask(path)
        except AwsError:  # all other files would fail in the same way
            raise
        except UserError as error:
            entries.append({"file": name, "error": str(error)})
            print(error if name in str(error) else f"{name}: {error}", file=sys.stderr)
            continue
        for number, best in enumerate(found):
            photo = name if len(found) == 1 else f"{name}[{number}]"
            entries.append({"file": photo, "predictions": best})
            if not as_json:
                print(line(photo, best), flush=True)


def line(photo: str, best: list[dict[str, Any]]) -> str:
    """Return a photo's labels and probabilities as one line."""
    return f"{photo}: " + ", ".join(f"{one_line(item['label'])} {item['probability']:.4f}" for item in best)


def table(predictions: Sequence[dict[str, Any]]) -> str:
    """Return a table of predictions: true class, predicted class, probability and file."""
    names = [(one_line(item["truth"]), one_line(item["label"])) for item in predictions]
    width = max(map(len, ("predicted", *chain(*names)))) + 2
    lines = [f"{'truth':<{width}}{'predicted':<{width}}{'probability':<13}photo"]
    lines += [
        f"{truth:<{width}}{label:<{width}}{item['probability']:<13.4f}{item['file']}"
        for (truth, label), item in zip(names, predictions, strict=True)
    ]
    return "\n".join(lines)


def read(path: Path) -> bytes:
    """Return a file's bytes. Raises PhotoError if the file cannot be read or is longer than any photo."""
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= USUAL:
            return path.read_bytes()
    from classifier.images import read_photo  # imported late because numpy and Pillow take 0.1 s of CPU

    return read_photo(path)


def content_type(path: Path) -> str:
    """Return the content type for a file's name. An unknown name gets a neutral type, because the server looks at the bytes."""
    guessed = mimetypes.guess_type(path.name)[0] or ""
    known = guessed.startswith("image/") or guessed == "application/json"
    return guessed if known else "application/octet-stream"


def sentence(text: str) -> str:
    """Return the message in the body of a server's error, on one line."""
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        text = str(json.loads(text)["message"])
    return one_line(text.strip())


def address(url: str) -> str:
    """Return the URL that photos are sent to. Raises ConfigError if `url` is not a server's address."""
    with contextlib.suppress(ValueError):
        whole = url if "://" in url else f"http://{url}"
        parts = urlsplit(whole)
        # Raises ValueError for a wrong port.
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if usable and whole.isascii() and whole.isprintable() and " " not in whole:
            return f"{whole.rstrip('/').removesuffix('/invocations').rstrip('/')}/invocations"
    raise ConfigError(f"--url is {url!r}; write the server's address, as in http://127.0.0.1:8080")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        text = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return error.reason
    return sentence(text) or error.reason


def rankings(text: bytes, url: str) -> Rankings:
    """Return each photo's labels and probabilities from an answer.

    `url` names the server in errors. Raises UserError if the answer has another form.
    """
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        answer = json.loads(text)["predictions"]
        found: Rankings = answer if isinstance(answer[0], list) else [answer]
        if all(_is_prediction(item) for ranking in found for item in ranking) and all(found):
            return found
    begin = one_line(text[:200].decode(errors="replace"))
    raise UserError(f"{url} does not answer as byoc serve does, but with {begin!r}; use curl for such a server")


def _is_prediction(item: Any) -> bool:
    return isinstance(item["label"], str) and isinstance(item["probability"], int | float)
