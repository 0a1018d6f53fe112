"""Send photos to a running server."""

import contextlib
import http.client
import json
import mimetypes
import sys
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from classifier.errors import ConfigError, UserError
from classifier.names import one_line
from launch.aws.errors import AwsError

Rankings = list[list[dict[str, Any]]]  # for each photo, its labels and probabilities, best first
USUAL = 100_000_000  # bytes; a file of more may be too long for a photo
TIMEOUT = 70  # seconds; the platform answers within 60


def predict(url: str, path: Path) -> Rankings:
    """Return each photo's labels and probabilities, best first: one photo for a photo's file, many for a JSON request.

    Raises ConfigError for an address that is none, and UserError with the server's sentence.
    """
    headers = {"Content-Type": content_type(path)}
    request = urllib.request.Request(_address(url), data=read(path), headers=headers)
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
    """`byoc predict`: print a line for each photo; status 1 when any file failed."""
    _address(options.url)
    return tell(options.files, lambda path: predict(options.url, path), as_json=options.json)


def tell(files: Sequence[Path], ask: Callable[[Path], Rankings], *, as_json: bool) -> int:
    """Print what each file is answered, a line for each photo or one JSON list at the end; return 1 when any file failed."""
    told: list[dict[str, Any]] = []
    for path in files:
        name = one_line(path)
        try:
            found = ask(path)
        except AwsError:  # which every file would meet
            raise
        except UserError as error:
            told.append({"file": name, "error": str(error)})
            print(error if name in str(error) else f"{name}: {error}", file=sys.stderr)
            continue
        for number, best in enumerate(found):
            photo = name if len(found) == 1 else f"{name}[{number}]"
            told.append({"file": photo, "predictions": best})
            if not as_json:
                print(line(photo, best), flush=True)
    if as_json:
        print(json.dumps(told, indent=2))
    return int(any("error" in entry for entry in told))


def line(photo: str, best: list[dict[str, Any]]) -> str:
    """Return a photo's labels and probabilities as one line."""
    return f"{photo}: " + ", ".join(f"{one_line(item['label'])} {item['probability']:.4f}" for item in best)


def table(predictions: Sequence[dict[str, Any]]) -> str:
    """Return predictions with their truth, probability and file as a table."""
    names = [name for item in predictions for name in (item["truth"], item["label"], "predicted")]
    width = max(map(len, names), default=0) + 2
    lines = [f"{'truth':<{width}}{'predicted':<{width}}{'probability':<13}photo"]
    lines += [
        f"{item['truth']:<{width}}{item['label']:<{width}}{item['probability']:<13.4f}{item['file']}"
        for item in predictions
    ]
    return "\n".join(lines)


def read(path: Path) -> bytes:
    """Return a file's bytes; raises PhotoError when it cannot be read or is longer than any photo."""
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= USUAL:
            return path.read_bytes()
    from classifier.images import read_photo  # not before: with numpy and Pillow it takes 0.1 s of CPU

    return read_photo(path)


def content_type(path: Path) -> str:
    """Return the type of a file by its name; what is not known is left to the server, which looks at the bytes."""
    guessed = mimetypes.guess_type(path.name)[0] or ""
    known = guessed.startswith("image/") or guessed == "application/json"
    return guessed if known else "application/octet-stream"


def sentence(text: str) -> str:
    """Return what a server says in an error's body, on one line."""
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        text = str(json.loads(text)["message"])
    return one_line(text.strip())


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
    return sentence(text) or error.reason


def rankings(text: bytes, url: str) -> Rankings:
    """Return each photo's labels and probabilities of an answer; `url` names who gave it. Raises UserError for another answer."""
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        answer = json.loads(text)["predictions"]
        found: Rankings = answer if isinstance(answer[0], list) else [answer]
        if all(_is_prediction(item) for ranking in found for item in ranking) and all(found):
            return found
    begin = one_line(text[:200].decode(errors="replace"))
    raise UserError(f"{url} does not answer as byoc serve does, it says {begin!r}; ask such a server with curl")


def _is_prediction(item: Any) -> bool:
    return isinstance(item["label"], str) and isinstance(item["probability"], int | float)
