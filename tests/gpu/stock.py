"""The check that compares our server with the stock handler of sagemaker-inference: the same photos, the same clients, the same GPU."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.machine import ROOT, NotRun
from tests.gpu.checks import Line, Setting
from tests.gpu.program import loads, photos_and_model

PACKAGES = ROOT / ".venv-stock" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def stock(setting: Setting) -> Iterator[Line]:
    """Measure the stock handler as `serving` measures our server. Its code is a notebook's: one photo at a time through eager torch."""
    if not PACKAGES.is_dir():
        yield "", "", "not run: sagemaker-inference is not installed; make .venv-stock/.ready"
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        photos, model = photos_and_model(folder, setting)
        path = os.pathsep.join([str(ROOT), str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])
        variables = {"BENCH_ARTIFACT": str(model), "PYTHONPATH": path}
        server = servers.stock(Path(sys.executable), folder / "stock", variables)
        try:
            with servers.running(server, photos[0], folder / "stock"):
                yield from loads(server.url, photos, setting)
        except NotRun as error:
            yield "", "", f"not run: {error}"
