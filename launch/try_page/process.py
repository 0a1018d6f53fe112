"""`byoc try ARTIFACT` and `byoc try URL`: photos go to a serving program. For an artifact, byoc starts the program."""

import contextlib
import re
import tempfile
import urllib.error
import urllib.request
from argparse import Namespace
from pathlib import Path

from classifier.artifact import check
from classifier.errors import ArtifactError, ConfigError, UserError
from classifier.names import one_line
from launch.predict import DEFAULT, address
from launch.server import serving
from launch.try_page.show import check_place, prepared, show
from launch.try_page.timed import TimedServer

PLACES = ("", "model", "job/model")  # places of the artifact in the folder of a run
SECONDS = 10  # seconds to wait for an answer to /ping


def command(options: Namespace) -> int:
    """Serve the page until Ctrl-C."""
    check_place(options)
    target = options.target or DEFAULT
    if Path(target).exists():
        return _try_artifact(options, Path(target))
    if not re.search(r"://|:\d+(/|$)", target):
        raise ConfigError(
            f"{one_line(target)!r} is neither a folder nor an address such as http://127.0.0.1:8080; to try an endpoint "
            "of that name, add --on sagemaker"
        )
    return _try_url(options, target)


def artifact_in(folder: Path) -> Path:
    """Return the artifact in a folder, which is the folder of an artifact or of a run. Raises ArtifactError if it holds no artifact."""
    if folder.is_file():
        raise ArtifactError(
            f"{one_line(folder)} is a file; unpack the archive, and name the folder that holds model.json"
        )
    for place in PLACES:
        if (folder / place / "model.json").is_file():
            return folder / place
    raise ArtifactError(
        f"{one_line(folder)} holds no model.json, also not in model/ or job/model/; name the folder of a run, or "
        "the artifact that training wrote"
    )


def _try_artifact(options: Namespace, folder: Path) -> int:
    if options.artifact:
        raise ConfigError(
            "--artifact is for an address or an endpoint; leave it out, because ARTIFACT already names the artifact"
        )
    artifact = artifact_in(folder)
    check(artifact)
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="byoc-try-")))
        extras = stack.enter_context(prepared(options, artifact))
        url = stack.enter_context(serving(artifact, 0, place / "serve.log"))
        show(options, extras.page(title=one_line(folder), ask=TimedServer(url), at_a_time=1))
    return 0


def _try_url(options: Namespace, url: str) -> int:
    _check_answers(url)
    artifact = artifact_in(options.artifact) if options.artifact else None
    with prepared(options, artifact) as extras:
        show(options, extras.page(title=one_line(url), ask=TimedServer(url), at_a_time=1))
    return 0


def _check_answers(url: str) -> None:
    """Raise ConfigError if `url` is not an address, and UserError if no server answers at it."""
    try:
        whole = address(url).removesuffix("/invocations")
    except ConfigError:
        raise ConfigError(f"{url!r} is not a server's address; write it as in http://127.0.0.1:8080") from None
    try:
        urllib.request.urlopen(f"{whole}/ping", timeout=SECONDS).close()
    except urllib.error.HTTPError as error:  # a server answers: it is of another kind, or still loads its model
        error.close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"no server answers at {one_line(url)} ({one_line(str(error))[:200]}); start one with byoc serve DIR, or name the "
            "folder of a run"
        ) from None
