"""The common parts of all kinds of `byoc try`: the page's extras from the command line, its server, and the printed lines."""

import contextlib
import ipaddress
import secrets
import socket
import sys
import tempfile
import webbrowser
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from classifier.errors import ConfigError
from classifier.names import one_line
from launch.child import ends_with_us
from reports.try_page.answer import Ask
from reports.try_page.kept import Kept
from reports.try_page.looker import Looker, looking
from reports.try_page.page import TryPage
from reports.try_page.server import TryServer

NO_LOOK = "To see where the model looked, start byoc try with --artifact and the folder of the model's artifact"
NO_KEEP = "To keep photos that are named wrongly, start byoc try with --keep and a folder"


@dataclass(frozen=True, kw_only=True)
class Extras:
    """The parts of the page that the command line adds."""

    looker: Looker | None
    kept: Kept | None

    def page(self, *, title: str, ask: Ask, at_a_time: int) -> TryPage:
        """Return the page; `ask` answers its photos."""
        return TryPage(
            title=title,
            ask=ask,
            at_a_time=at_a_time,
            looker=self.looker,
            kept=self.kept,
            no_look=NO_LOOK,
            no_keep=NO_KEEP,
        )


def check_place(options: Namespace) -> None:
    """Raise ConfigError if the page cannot be served at the address that the options name."""
    if not 0 <= options.port <= 65535:
        raise ConfigError(f"--port is {options.port}; it must lie between 0 and 65535")
    try:
        host = ipaddress.ip_address(options.host)
    except ValueError:
        raise ConfigError(
            f"--host is {options.host!r}; write an address of this machine, as in 192.168.1.5, or 0.0.0.0 for all its addresses"
        ) from None
    with socket.socket(socket.AF_INET6 if host.version == 6 else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            raise ConfigError(
                f"port {options.port} of {options.host} cannot be used: {error.strerror}; name another with --port or --host"
            ) from error


@contextlib.contextmanager
def prepared(options: Namespace, artifact: Path | None) -> Iterator[Extras]:
    """Make the folder of --keep. Inside the block, a program runs that computes where the model looked."""
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        looker = None
        if artifact:
            program = [sys.executable, "-P", "-m", "reports.try_page.activation", str(artifact)]
            looker = stack.enter_context(looking(ends_with_us(program)))
        yield Extras(looker=looker, kept=Kept(options.keep) if options.keep else None)


def show(options: Namespace, page: TryPage) -> None:
    """Serve the page until an interrupt."""
    token = secrets.token_urlsafe(18)
    address = (options.host, options.port)
    with (
        tempfile.TemporaryDirectory(prefix="byoc-try-") as folder,
        TryServer(address, page, token, Path(folder)) as server,
    ):
        url = f"http://{_name(options.host)}:{server.server_address[1]}/?token={token}"
        print(f"page: {url}")
        if page.kept:
            print(f"photos that you keep go to {one_line(page.kept.folder)}")
        print("Ctrl-C ends it", flush=True)
        if not ipaddress.ip_address(options.host).is_loopback:
            print(
                "byoc: note: everybody in your network who has this address can use the page, and nothing is encrypted",
                file=sys.stderr,
            )
        if options.open and not webbrowser.open(url):
            print("no browser was found to open it", flush=True)
        server.serve_forever()


def _name(host: str) -> str:
    """Return an address as browsers write it. For 0.0.0.0, return the address of this machine in its network."""
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            # connect() sends nothing here. The system only chooses the address to send from.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        return "127.0.0.1"
    return f"[{host}]" if address.version == 6 else host
