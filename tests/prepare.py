"""`python -m tests.prepare FOLDER`: make photos and a model of them in the training image, for the tests inside both images."""

import json
import sys
from pathlib import Path

from launch.samples import write_samples
from tests.conftest import TRAINED_WITH, run_training


def main(folder: Path) -> None:
    write_samples(folder / "samples")
    run = run_training(folder / "opt-ml", {"training": folder / "samples"}, TRAINED_WITH, folder / "features")
    assert run.status == 0, run.errors
    (folder / "printed.json").write_text(json.dumps([run.output, run.errors]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
