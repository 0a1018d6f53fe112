"""The HTTP server: our front and, behind it, moto's application, in the same process."""

import os
import socket
import sys
import threading
from dataclasses import dataclass

from local_test.sagemaker.background import Background
from local_test.sagemaker.cloud import Clouds
from local_test.sagemaker.errors import StartError
from local_test.sagemaker.machine import Machine
from local_test.sagemaker.settings import Settings
from local_test.sagemaker.storage import Storage
from local_test.sagemaker.web import WebServer

PATIENCE = 60  # seconds for a job to end when the emulator ends; all end within a few, unless the machine is busy


@dataclass
class Server:
    """A running emulator."""

    clouds: Clouds
    _http: WebServer

    def end(self) -> None:
        """Stop answering, and end everything that was started."""
        self._http.stop()
        self.clouds.background.end(PATIENCE)
        self.clouds.storage.index.close()


def start(settings: Settings, listener: socket.socket, machine: Machine, places: int) -> Server:
    """Start answering on a socket that listens."""
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"  # read where moto is imported: no page in a browser is let in
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    from local_test.sagemaker import subjects
    from local_test.sagemaker.front import Front

    clouds = Clouds(
        settings=settings, storage=Storage(settings.data / "s3"), machine=machine, background=Background(places)
    )
    for region in sorted(path.name for path in (settings.data / "resources").glob("*")):
        for line in [line for end in subjects.END_LEFT for line in end(clouds.region(region))]:
            print(line, file=sys.stderr, flush=True)
    front = Front(clouds, DomainDispatcherApplication(create_backend_app))
    http = WebServer(listener, front)
    http.prepare()
    threading.Thread(target=http.serve, name="http", daemon=True).start()
    return Server(clouds, http)


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a loopback port; raises StartError when the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise StartError(f"port {port} cannot be used: {error.strerror}; name another with --port") from None
    listener.listen(128)  # the web server raises it when it starts
    return listener
