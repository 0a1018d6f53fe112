"""Executes the notebook from its first cell to its last, and keeps what the cells print and draw.

    byoc emulate -- .venv-sdk/bin/python notebooks/execute.py        # in place; --out FILE leaves the notebook as it is

Each code cell keeps a checksum of the code that its outputs come from, so that a test can tell whether they are still its own.
"""

import argparse
import hashlib
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("train_and_deploy.ipynb")
SECONDS = 1800  # the longest time of one cell


def main() -> None:
    """Execute the notebook; an error of a cell ends it, and nothing is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=NOTEBOOK, metavar="FILE", help="default: the notebook itself")
    options = parser.parse_args()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    # Cells run in the notebook's own folder, as Jupyter runs them.
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata["executed"] = hashlib.sha256(cell.source.encode()).hexdigest()
    # Of the machine that executed it, and different on the next.
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, options.out)
    print(f"{options.out.name}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
