"""A copy of the project in which an error can be made: its files, and environments with the packages of the project's environments."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENTS = (".venv", ".venv-train")
# The commands of the project; in a copy each must run the copy's code.
COMMANDS = ("byoc", "train", "serve")


def copy(root: Path, target: Path) -> None:
    """Copy the files of the project at `root` that git tracks or would track, and make the environments."""
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name, follow_symlinks=False)
    shared = target.parent / "shared"
    if (root.parent / "shared").is_dir() and not shared.exists():
        shared.symlink_to(root.parent / "shared")
    for name in ENVIRONMENTS:
        if (root / name).is_dir():
            _environment(root / name, target / name)


def _environment(original: Path, target: Path) -> None:
    subprocess.run([original / "bin/python", "-m", "venv", "--without-pip", target], check=True)
    [packages] = target.glob("lib/python*/site-packages")
    # The copy's code comes before the project's own code, which is on the path of the original's packages.
    found = original / packages.relative_to(target)
    (packages / "copy.pth").write_text(f"{target.parent}\nimport site; site.addsitedir({str(found)!r})\n")
    for script in (original / "bin").iterdir():
        here = target / "bin" / script.name
        if here.exists() or not script.is_file():
            continue
        if script.name in COMMANDS:
            here.write_text(script.read_text().replace(str(original), str(target)))
            here.chmod(0o755)
        else:
            here.symlink_to(script)


def command(folder: Path, tests: Sequence[str], with_training_image: Sequence[str]) -> str:
    """Return the command that runs these tests in a copy and ends at the first failure.

    `with_training_image` names the tests that need the packages of the training image.
    """
    runs = [
        f"{name}/bin/python -m pytest -x -q -p no:cacheprovider -m '' {shlex.join(chosen)}"
        for name, chosen in zip(ENVIRONMENTS, (tests, with_training_image), strict=True)
        if chosen
    ]
    return shlex.join(["env", f"--chdir={folder}", "sh", "-c", " && ".join(runs)])
