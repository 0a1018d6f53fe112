"""Folders without permission to list them, and folders with entries that are neither photos nor folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.folders import look, named, notes
from tests.conftest import ROOT

LISTERS = """
import sys
from pathlib import Path
from classifier.errors import DataError
from classifier.folders import look, unlisted
from classifier.manifest import manifests_in
from classifier.recordio import records_in
folder = Path(sys.argv[1])
for lister in (look, manifests_in, records_in):
    try:
        print(lister(folder))
    except DataError as error:
        print(error)
print(unlisted(folder, []))
"""


def test_a_folder_that_may_not_be_listed_is_named_by_everyone_who_lists_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    # Root may list any folder, so the process drops the capabilities that override permissions. Nobody else may, or can drop them.
    rights = "-dac_override,-dac_read_search"
    drop = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-c", LISTERS, str(closed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    sentence = f"{closed} cannot be listed; give yourself read permission on it"
    assert done.stdout.splitlines() == [sentence] * 3 + ["[]"]


def test_a_pipe_is_not_a_photo_and_a_link_to_nothing_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    os.mkfifo(tmp_path / "cat" / "pipe")
    (tmp_path / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "cat" / "circle").symlink_to(tmp_path / "cat" / "circle")
    (tmp_path / "cat" / "real").touch()
    (tmp_path / "cat" / "linked.jpg").symlink_to(tmp_path / "cat" / "real")
    (tmp_path / "cat" / "notes.txt").symlink_to(tmp_path / "nowhere")
    found = look(tmp_path)
    assert [path.name for path in found.classes["cat"]] == ["circle", "gone.jpg", "linked.jpg", "real"]
    assert [path.name for path in found.other] == ["notes.txt", "pipe"]
    assert notes([found]) == [
        "files that are not photos: 1 .txt, 1 without a suffix (cat/notes.txt, cat/pipe); they are left out"
    ]


@pytest.mark.parametrize(
    ("count", "text"), [(1, "a/0"), (5, "a/0, a/1, a/2, a/3, a/4"), (6, "a/0, a/1, a/2, a/3, a/4, ...")]
)
def test_five_paths_are_named_and_more_are_hinted_at(count: int, text: str) -> None:
    assert named([Path("/photos/a") / str(number) for number in range(count)]) == text
