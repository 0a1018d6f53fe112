"""Prepare a model for the workers, in a process of its own: `python -m serve.prepare --model-dir DIR --out DIR`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier import artifact
from classifier.errors import UserError


def prepare(model_dir: Path, out: Path, backend: str) -> None:
    """Check the artifact, prove it and write what workers load into `out`; raises ArtifactError."""
    model, _ = artifact.load(model_dir)
    artifact.run_selftest(model_dir, model)
    out.mkdir()
    (out / "prepared.json").write_text(json.dumps({"model_dir": str(model_dir), "backend": backend}))


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare and return the exit status; a failure is one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m serve.prepare")
    parser.add_argument("--model-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args(argv)
    try:
        prepare(options.model_dir, options.out, options.backend)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
