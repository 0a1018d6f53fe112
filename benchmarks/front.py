"""Which HTTP front to put before the model server: ours (aiohttp) against Starlette, uvicorn and httpx.

    python -m benchmarks.front --peers-python PATH

PATH is the Python of an environment with the pins of requirements/peers.lock, and aiohttp. Each front runs in a process
of its own and passes a body on to a Unix socket, behind which a process reads it and answers at once: what remains is
the front's own cost. A client sends its next request when it has the answer.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any, cast

from benchmarks.machine import describe, free_port, summary, write_results

BODY = os.urandom(110_000)  # as many bytes as a photo of 500 x 375
ANSWER = json.dumps({"predictions": [{"label": f"class {n}", "probability": 0.2} for n in range(5)]}).encode()
CLIENTS = (1, 4, 16)
PEERS = ("starlette", "uvicorn", "httpx", "httptools", "uvloop", "aiohttp")
# The last is ours on the event loop that uvicorn uses: it tells the loop's share from the libraries'.
FRONTS = {"aiohttp (ours)": "ours", "starlette + uvicorn + httpx": "starlette", "aiohttp (ours) on uvloop": "uvloop"}
START_SECONDS, TIMEOUT = 20.0, 60
Row = dict[str, Any]


def main() -> int:
    """Measure, print the table and write results/front.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.front", description="Compare HTTP fronts.")
    parser.add_argument("--peers-python", type=Path, metavar="PATH", help="a Python that has the peers")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load at a time (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    for internal in ("--serve", "--backend", "--port"):  # how it starts its own servers
        parser.add_argument(internal, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.serve, options.backend, int(options.port))
        return 0
    peers = _peer_versions(options.peers_python)
    if not peers:
        print(f"front: no Python that has {', '.join(PEERS)}, so this figure was not run; give one with --peers-python")
        return 0
    machine = describe()
    print(f"{summary(machine)}\npeers: {', '.join(f'{name} {number}' for name, number in peers.items())}\n")
    rows = _measure(options)
    ratios = _print(rows)
    settings = {"body_bytes": len(BODY), "seconds": options.seconds, "rounds": options.rounds, "peers": peers}
    write_results("front", {"machine": machine, "settings": settings, "rows": rows, "ratios": ratios})
    return 0


def _peer_versions(python: Path | None) -> dict[str, str]:
    if python is None or not python.exists():
        return {}
    code = f"import importlib.metadata as m, json; print(json.dumps({{name: m.version(name) for name in {PEERS}}}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return cast(dict[str, str], json.loads(found.stdout)) if found.returncode == 0 else {}


def _measure(options: argparse.Namespace) -> list[Row]:
    """Load every front in turn, round by round, after a short round that warms up."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        backend, fronts = Path(folder) / "backend.sock", {}
        stack.enter_context(_server(sys.executable, "backend", backend, 0))
        for name, kind in FRONTS.items():
            python, port = sys.executable if kind == "ours" else options.peers_python, free_port()
            fronts[name] = stack.enter_context(_server(python, kind, backend, port)), port
        for number in range(-1, options.rounds):
            for clients in CLIENTS:
                for name, (pid, port) in fronts.items():
                    cpu, start = _cpu_seconds(pid), time.perf_counter()
                    latencies = asyncio.run(_load(port, clients, options.seconds if number >= 0 else 0.3))
                    rate = len(latencies) / (time.perf_counter() - start)
                    cuts = [1000 * cut for cut in quantiles(latencies, n=100)]
                    row = {"front": name, "clients": clients, "round": number, "requests/s": rate, "p50 ms": cuts[49]}
                    row |= {"p99 ms": cuts[98], "CPU ms": 1000 * (_cpu_seconds(pid) - cpu) / len(latencies)}
                    rows += [row] if number >= 0 else []
    return rows


@contextlib.contextmanager
def _server(python: str | Path, kind: str, backend: Path, port: int) -> Iterator[int]:
    """Run a server as a process of its own until the block ends; gives its process id."""
    arguments = ["-m", "benchmarks.front", "--serve", kind, "--backend", str(backend), "--port", str(port)]
    process = subprocess.Popen([python, *arguments])
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (_listens(port) if port else backend.exists()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server {kind!r} did not start in {START_SECONDS:.0f} s; its output says why")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load(port: int, clients: int, seconds: float) -> list[float]:
    """Return the seconds of each request; over bare sockets, since a client library costs as much as a front does."""
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: front\r\nContent-Type: image/jpeg\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    request, end, latencies = head.encode() + BODY, time.perf_counter() + seconds, []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (start := time.perf_counter()) < end:
            writer.write(request)
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
            if await reader.readexactly(length) != ANSWER:
                raise RuntimeError(f"the front on port {port} answered {status!r}; its output says why")
            latencies.append(time.perf_counter() - start)
        writer.close()
        await writer.wait_closed()

    async with asyncio.timeout(seconds + TIMEOUT):
        await asyncio.gather(*(client() for _ in range(clients)))
    return latencies


def _print(rows: list[Row]) -> dict[str, float]:
    """Print the medians over rounds, and return their ratios to ours."""
    ratios: dict[str, float] = {}
    keys = ("requests/s", "p50 ms", "p99 ms", "CPU ms")
    print(f"{'':28} clients " + "".join(f"{key:>12}" for key in keys) + "   requests/s and CPU against ours")
    for clients in CLIENTS:
        ours: list[float] = []
        for name in FRONTS:
            own = [row for row in rows if (row["front"], row["clients"]) == (name, clients)]
            values = [median(row[key] for row in own) for key in keys]
            ours = ours or values
            against = {key: value / base for key, value, base in zip(keys, values, ours, strict=True)}
            ratios |= {f"{name}, {clients} clients: {key}": ratio for key, ratio in against.items()}
            rate, p50, p99, cpu = values
            print(
                f"{name:28} {clients:7} {rate:12.0f}{p50:12.2f}{p99:12.2f}{cpu:12.3f}"
                f"   {against['requests/s']:.2f}x {against['CPU ms']:.2f}x"
            )
    return ratios


def _serve(kind: str, backend: str, port: int) -> None:
    """Be one of the servers until stopped."""
    if kind == "starlette":
        return _serve_starlette(backend, port)
    from aiohttp import web

    from serve.front import Front, make_app
    from serve.intake import Intake
    from serve.model_server import ModelServer
    from serve.settings import read_settings
    from serve.single_model import SingleModel
    from serve.worker_api import Answer, Timing

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        timing = Timing(decode=0.0, model=0.0, photos=1, batch=1)
        return web.Response(body=Answer(200, ANSWER, timing=timing).to_bytes())

    if kind == "backend":
        app = web.Application(client_max_size=2 * len(BODY))
        app.router.add_post("/predictions/m", answer)
        return web.run_app(app, path=backend, access_log=None, print=None)
    folder = Path(tempfile.mkdtemp(prefix="bench-front-"))
    settings = read_settings([], os.environ | {"BYOC_REQUEST_LOG": "off"})
    server = ModelServer(folder, settings)  # never started: the backend takes its place
    server._inference_socket = Path(backend)
    endpoint = SingleModel(server, settings)
    front = Front(settings=settings, intake=Intake(settings), endpoint=endpoint)
    (server.store / "m" / "status").mkdir(parents=True)
    (server.store / "m" / "status" / f"{os.getpid()}.ready").touch()

    async def proved(app: web.Application) -> AsyncIterator[None]:
        async with server.connected():
            if not await endpoint.model.probe():
                raise RuntimeError(f"the backend at {backend} did not answer")
            yield

    loop = None
    if kind == "uvloop":
        import uvloop  # type: ignore[import-not-found, unused-ignore]

        loop = uvloop.new_event_loop()
    app = make_app(front)
    app.cleanup_ctx.append(proved)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)


def _serve_starlette(backend: str, port: int) -> None:
    """Serve what serve.front serves, with the same checks."""
    import httpx  # type: ignore[import-not-found, unused-ignore]
    import uvicorn  # type: ignore[import-not-found, unused-ignore]
    from starlette.applications import Starlette  # type: ignore[import-not-found, unused-ignore]
    from starlette.responses import Response  # type: ignore[import-not-found, unused-ignore]
    from starlette.routing import Route  # type: ignore[import-not-found, unused-ignore]

    from serve.formats import SUPPORTED
    from serve.settings import MB

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    transport = httpx.AsyncHTTPTransport(uds=backend, limits=limits)
    client = httpx.AsyncClient(transport=transport, timeout=TIMEOUT)

    async def invocations(request: Any) -> Any:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in SUPPORTED:
            return Response(status_code=415)
        body = await request.body()
        if not 0 < len(body) <= 25 * MB:
            return Response(status_code=400)
        try:
            answer = await client.post("http://model-server/predictions/m", content=body)
        except httpx.HTTPError:
            return Response(status_code=503)
        return Response(answer.content, status_code=answer.status_code, media_type="application/json")

    app = Starlette(routes=[Route("/invocations", invocations, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning")


if __name__ == "__main__":
    sys.exit(main())
