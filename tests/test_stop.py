"""SIGTERM to the real training program: what was done is kept, and it ends soon with status 143."""

from pathlib import Path

from classifier import artifact
from tests.conftest import terminate, training, wait_for_line


def test_in_the_feature_pass_the_features_are_kept_and_no_model_is_written(samples: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    (base / "checkpoints").mkdir(parents=True)
    with training(base, samples) as process:
        wait_for_line(process, "features: ")
        output, seconds = terminate(process)
        assert process.returncode == 143 and seconds < 30
    assert "stopped by SIGTERM after " in output and "no model was written" in output
    assert not (base / "model").exists() and not (base / "output" / "failure").exists()
    kept = sum(path.stat().st_size for path in (base / "checkpoints" / "features").glob("*/*.safetensors"))
    assert kept > 8 * 1280 * 4


def test_in_the_search_the_best_head_so_far_is_written(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    with training(base, tiny, **{"search-trials": "10000"}) as process:
        wait_for_line(process, "trial 2 of 10000")
        output, seconds = terminate(process)
        assert process.returncode == 143 and seconds < 30
    assert "kept trial " in output and "the best model so far was written" in output
    loaded, _ = artifact.load(base / "model")
    assert artifact.run_selftest(base / "model", loaded) < 1e-4


def test_in_the_head_the_best_model_so_far_is_written(tiny: Path, tmp_path: Path) -> None:
    base = tmp_path / "opt-ml"
    with training(base, tiny, epochs="10000") as process:
        wait_for_line(process, "epoch=5 ")
        output, seconds = terminate(process)
        assert process.returncode == 143 and seconds < 30
    assert "the best model so far was written" in output and "epoch=10000 " not in output
    loaded, spec = artifact.load(base / "model")
    assert artifact.run_selftest(base / "model", loaded) < 1e-4 and spec.classes == ("brick", "coffee")
