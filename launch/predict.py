"""Send photos to a running server."""

import contextlib
import json
import mimetypes
import sys
import urllib.error
import urllib.request
from argparse import Namespace
from pathlib import Path
from typing import Any

from classifier.errors import UserError
from classifier.images import read_photo
from classifier.names import one_line

TIMEOUT = 70  # seconds; the platform answers within 60


def predict(url: str, path: Path) -> list[dict[str, Any]]:
    """Return a photo's labels and probabilities, best first; raises UserError with the server's sentence."""
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    request = urllib.request.Request(
        f"{url}/invocations", data=read_photo(path), headers={"Content-Type": content_type}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            predictions: list[dict[str, Any]] = json.load(answer)["predictions"]
            return predictions
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["message"]
        raise UserError(f"{one_line(path)}: {error.code} {text[:500]}") from error
    except OSError as error:
        raise UserError(f"no server answers at {url} ({error}); start one with: byoc serve DIR") from error


def command(options: Namespace) -> int:
    """`byoc predict`: print a line for each file; status 1 when any failed."""
    failed = False
    for path in options.files:
        try:
            best = predict(options.url, path)
            print(
                f"{one_line(path)}: " + ", ".join(f"{item['label']} {item['probability']:.4f}" for item in best),
                flush=True,
            )
        except UserError as error:
            failed = True
            print(error if one_line(path) in str(error) else f"{one_line(path)}: {error}", file=sys.stderr)
    return int(failed)
