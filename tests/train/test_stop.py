"""SIGTERM to the real training program: it keeps its results, and ends soon with status 143."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from classifier import artifact
from classifier.selftest import run_selftest
from tests.conftest import ROOT, terminate, training, wait_for_line

AGAIN = """
import os, signal, threading
plain, sent = threading.Condition.__enter__, []

def enter(condition):
    held = plain(condition)
    if not sent:
        sent.append(os.kill(os.getpid(), signal.SIGTERM))
    return held

threading.Condition.__enter__ = enter
os.kill(os.getpid(), signal.SIGTERM)
print(stopping(), flush=True)
"""


@pytest.mark.parametrize(
    "program",
    [
        "from train import stop\nstop.install()\nstopping = stop.requested.is_set",
        "from local_test.stop import Stop\nstop = Stop(lambda: None)\nstopping = lambda: stop.wait(9)",
    ],
    ids=["training", "local mode"],
)
def test_a_signal_that_comes_while_another_is_noted_keeps_nobody_waiting(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program + AGAIN], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


# The job sends itself SIGTERM when it opens its twentieth photo. From outside, a fast machine may have all features by then.
OPENED = """
import os, signal
from PIL import Image
plain, count = Image.open, iter(range(1, 10**9))

def opened(*arguments, **options):
    if next(count) == 20:
        os.kill(os.getpid(), signal.SIGTERM)
    return plain(*arguments, **options)

Image.open = opened
"""


@pytest.mark.slow
def test_in_the_feature_pass_the_features_are_kept_and_no_model_is_written(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "opt-ml"
    (base / "checkpoints").mkdir(parents=True)
    (tmp_path / "sitecustomize.py").write_text(OPENED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with training(base, samples) as process:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 143, output
    assert "stopped by SIGTERM after " in output and "no model was written" in output
    assert not (base / "model").exists() and not (base / "output" / "failure").exists()
    kept = sum(path.stat().st_size for path in (base / "checkpoints" / "features").glob("*/*.safetensors"))
    assert kept > 8 * 1280 * 4


@pytest.mark.slow
def test_in_the_search_the_best_head_so_far_is_written(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    with training(base, tiny, **{"search-trials": "10000"}) as process:
        wait_for_line(process, "trial 2 of 10000")
        output = terminate(process)
        assert process.returncode == 143
    assert "kept trial " in output and "the best model so far was written" in output
    loaded, _ = artifact.load(base / "model")
    assert run_selftest(base / "model", loaded) < 1e-4


@pytest.mark.slow
def test_in_the_head_the_best_model_so_far_is_written(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    with training(base, tiny, epochs="10000") as process:
        wait_for_line(process, "epoch=5 ")
        output = terminate(process)
        assert process.returncode == 143
    assert "the best model so far was written" in output and "epoch=10000 " not in output
    loaded, spec = artifact.load(base / "model")
    assert run_selftest(base / "model", loaded) < 1e-4 and spec.classes == ("brick", "coffee")
    # After SIGTERM, the seconds that remain are not spent on the report's photos.
    assert '"kind": "mislabelled"' not in (base / "output" / "data" / "records.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.host("a container may not make a process namespace")
@pytest.mark.skipif(os.geteuid() != 0, reason="a process namespace needs root")
def test_as_pid_1_it_hears_sigterm_and_leaves_no_process_behind(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    prefix = ("unshare", "--pid", "--fork", "--mount-proc")
    settings = {"finetune-epochs": "10000", "backbone": "timm/test_efficientnet", "weights": "random"}
    with training(base, tiny, prefix=prefix, **settings) as process:
        wait_for_line(process, "epoch=7 ")
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert "NSpid:\t" + child + "\t1\n" in Path(f"/proc/{child}/status").read_text()
        os.kill(int(child), signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 143, output
    assert "the best model so far was written" in output and (base / "model" / "model.json").exists()
    assert not [path for path in Path("/proc").glob("[0-9]*/environ") if _below(base, path)]


@pytest.mark.slow
def test_sigterm_to_the_processes_that_read_photos_costs_no_batch(tiny: Path, tmp_path: Path) -> None:
    # torchrun sends SIGTERM to the whole process group, and so does this test.
    base = tmp_path / "opt-ml"
    settings = {"finetune-epochs": "10000", "finetune-batch-size": "1"}
    with training(base, tiny, epochs="1", backbone="timm/test_efficientnet", weights="random", **settings) as process:
        for epoch in (2, 3, 4):
            wait_for_line(process, f"epoch={epoch} ")
            reached = 0
            while not reached:
                for reader in psutil.Process(process.pid).children():
                    # A reader may have ended with its epoch; the next epoch has others.
                    with contextlib.suppress(psutil.NoSuchProcess):
                        reader.terminate()
                        reached += 1
        wait_for_line(process, "epoch=9 ")
        output = terminate(process)
        assert process.returncode == 143 and "the best model so far was written" in output


def _below(base: Path, environ: Path) -> bool:
    try:
        return str(base).encode() in environ.read_bytes()
    except OSError:
        return False
