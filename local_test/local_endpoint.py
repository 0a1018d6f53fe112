"""An endpoint in local mode: the SDK's generic Model, deployed to a container on this machine until Ctrl-C."""

import argparse
import os
import socket
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

from classifier.archives import unpack
from classifier.errors import ArchiveError
from local_test.code import copied
from local_test.gpus import instance_type
from local_test.leftovers import Leftovers, docker
from local_test.stop import LocalModeError, Stop

ROLE = "arn:aws:iam::111111111111:role/local"  # any well-formed ARN works


def serve(options: argparse.Namespace, session: Any, work: Path, leftovers: Leftovers, stop: Stop) -> int:
    """Serve options.model on options.port until a signal; raises LocalModeError when it cannot be served."""
    check_port(options.port)
    model = local_model(options, session, work)
    threading.Thread(target=give_up_early, args=(leftovers, stop), daemon=True).start()
    name = "local"
    try:
        # With wait=True the SDK would poll for 30 s more, although it has already waited for /ping.
        model.deploy(1, instance_type(options.image), endpoint_name=name, wait=False)
        url = f"http://127.0.0.1:{options.port}/invocations"
        print(f"ready: curl -H 'Content-Type: image/jpeg' --data-binary @PHOTO.jpg {url}\nCtrl-C stops it", flush=True)
        stop.wait()
    except Exception as error:
        if not stop.is_set():
            raise LocalModeError(f"the endpoint was not ready: {last_words(leftovers) or error}") from error
    finally:
        session.sagemaker_client.delete_endpoint(name)
    print("stopped; nothing is left", flush=True)
    return 0


def local_model(options: argparse.Namespace, session: Any, work: Path) -> Any:
    """Return the SDK's generic Model for the artifact options.model, a folder or an archive, and the image options.image."""
    from sagemaker.model import Model
    from sagemaker.predictor import Predictor

    archive, environment = _packed(options, work)
    return Model(
        image_uri=options.image,
        model_data=f"file://{archive}",
        role=ROLE,
        env=environment,
        sagemaker_session=session,
        predictor_cls=Predictor,
    )


def _packed(options: argparse.Namespace, work: Path) -> tuple[Path, dict[str, str]]:
    """Pack the artifact and the user's code into an archive for the SDK. Return the archive and the variables for the code."""
    folder, brought = options.model, getattr(options, "code", None)
    if folder.is_file():
        try:
            unpack(folder, work / "unpacked")
        except ArchiveError as error:
            raise LocalModeError(str(error)) from error
        folder = work / "unpacked"
    # The SDK unpacks the archive into the archive's own folder and mounts that folder.
    (work / "model").mkdir()
    archive = work / "model" / "model.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            if not brought or path.name != "code":
                tar.add(path, path.name)
        if not brought:
            return archive, {name: os.environ[name] for name in ("ALLOW_MODEL_CODE",) if name in os.environ}
        name, code = copied(brought, options.source_dir, work / "code")
        tar.add(code, "code")
    # The variables that the SDK sets for its entry_point, and ALLOW_MODEL_CODE of our serving image.
    return archive, {
        "ALLOW_MODEL_CODE": "true",
        "SAGEMAKER_PROGRAM": name,
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
    }


def check_port(port: int) -> None:
    """Raise LocalModeError when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LocalModeError(f"port {port} is taken ({error.strerror}); name another with --port") from error


def last_words(leftovers: Leftovers) -> str:
    """Return why Docker could not start the container, or else the container's last line."""
    for container in leftovers.containers():
        reason = docker("inspect", "--format", "{{.State.Error}}", container).strip()
        return reason or (docker("logs", "--tail", "1", container).strip())
    return ""


def give_up_early(leftovers: Leftovers, stop: Stop) -> None:
    """End the SDK's wait of two minutes for /ping as soon as the container has ended or a signal has come."""
    from sagemaker.local import entities

    failed = threading.Event()
    threading.excepthook = lambda args: failed.set()  # the SDK's thread ends with an exception if compose fails
    while not (stop.is_set() or failed.is_set() or leftovers.containers("status=exited")):
        time.sleep(0.5)
    entities.HEALTH_CHECK_TIMEOUT_LIMIT = 0
