"""Writes address, digest, tags and versions of a pushed image into images.json: one line an image. The other image's line is kept.

python3 docker/record.py train|serve FILE URI DIGEST DEVICE VERSION REVISION TAG...
"""

import json
import sys
from pathlib import Path


def record(file: Path, program: str, entry: dict[str, object]) -> None:
    """Write an image's entry as the last entry of the file. The file is replaced atomically."""
    known = json.loads(file.read_text()) if file.exists() else {}
    known.pop(program, None)
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in (known | {program: entry}).items()]
    new = file.with_name(f"{file.name}.new")
    new.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    new.replace(file)


def main(program: str, file: str, uri: str, digest: str, *rest: str) -> None:
    """Record an image from the command line."""
    device, version, revision, *tags = rest
    entry = {"uri": uri, "digest": digest, "tags": tags, "device": device, "version": version, "revision": revision}
    record(Path(file), program, entry)


if __name__ == "__main__":
    main(*sys.argv[1:])
