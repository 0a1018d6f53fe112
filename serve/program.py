"""Finds an artifact's own code, and explains the mistake if the code is in a wrong place."""

import importlib.metadata
import re
import zipfile
from pathlib import Path

from classifier.backends.ir import IR_FILES
from classifier.errors import ArtifactError
from classifier.names import is_system, one_line
from serve.settings import Settings

DEFAULT = "inference.py"  # the name of the program
REQUIREMENTS = "requirements.txt"
_SHOWN = 5  # the most names in a sentence
# The endings of the names of other programs' model files.
_MODELS = (
    ".pt",
    ".pth",
    ".ts",
    ".torchscript",
    ".bin",
    ".ckpt",
    ".pkl",
    ".joblib",
    ".h5",
    ".keras",
    ".onnx",
    ".params",
    ".tflite",
    ".pb",
    ".mar",
    ".msgpack",
    ".gguf",
    ".cbm",
    ".ubj",
    "xgboost-model",
)
_OURS = "selftest.safetensors"  # in an artifact of this program, this file is beside the weights
HOW_TO_ADD = "install it where the server runs (for an image: two lines, docs/serving.md), or put packages of pure Python into code/lib"


def code_folder(model_dir: Path, settings: Settings) -> Path | None:
    """Return the folder with the model's own code: SAGEMAKER_SUBMIT_DIRECTORY if it is a folder, else `code` if it exists, else None."""
    # The SDK's local mode mounts the code at /opt/ml/code and sets the variable to that. An address of S3 is never fetched.
    submitted = settings.submit_directory.removeprefix("file://")
    if submitted.startswith("/") and Path(submitted).is_dir():
        return Path(submitted)
    code = model_dir / "code"
    return code if code.exists() or code.is_symlink() else None


def find_program(model_dir: Path, settings: Settings) -> Path | None:
    """Return the program to run, or None if there is no code; raises ArtifactError for code that would not run."""
    folder = code_folder(model_dir, settings)
    if folder is None:
        _refuse_strays(model_dir, settings)
        return None
    if not settings.model_code:
        raise ArtifactError(
            f"{model_dir} brings code, which is not run; remove its folder code, or set the model's environment variable "
            "ALLOW_MODEL_CODE=true if you trust whoever made it"
        )
    path = folder / _name(settings)
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; {_elsewhere(folder, path.name)}")
    return path


def ignored_requirements(folder: Path) -> str | None:
    """Return a warning about the code's requirements.txt, which is never installed, with the missing packages; None without the file."""
    file = folder / REQUIREMENTS
    if not file.is_file():
        return None
    missing = [line for line in _requirements(file.read_text(errors="replace")) if not _installed(line)]
    if not missing:
        return f"{file} is not read at the start; the packages that it names are installed, but their versions were not compared"
    return (
        f"{file} is not installed, because the server installs nothing; missing here: {_some(missing)}; install them where the "
        "server runs (for an image: two lines, docs/serving.md), or put packages of pure Python into the folder code/lib"
    )


def how_to_load(model_dir: Path) -> str:
    """Return a clause about loading other programs' models in an artifact with a model_fn; empty if there are no such models."""
    ends = _MODELS if (model_dir / _OURS).exists() else (*_MODELS, ".safetensors")
    found = [
        path
        for path in sorted(model_dir.glob("*"))
        if path.name.lower().endswith(ends) and path.name not in IR_FILES and not is_system(path.name)
    ]
    files = [path for path in found if path.is_file() and not path.is_symlink()]
    script = next((one_line(path.name) for path in files if _is_torchscript(path)), None)
    if script:
        line = f"def model_fn(model_dir): return torch.jit.load(model_dir + '/{script}', map_location='cpu')"
        return f"{script} is TorchScript, which a model_fn loads: {line}"
    names = _some([one_line(path.name) for path in files])
    return f"{names} is another program's model, which only your own model_fn can load" if names else ""


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    # Only TorchScript archives hold both names; archives of torch.save hold neither.
    return any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)


def _name(settings: Settings) -> str:
    name = settings.program or DEFAULT
    return name if name.endswith(".py") else f"{name}.py"


def _refuse_strays(model_dir: Path, settings: Settings) -> None:
    for name in dict.fromkeys((_name(settings), DEFAULT)):
        if (model_dir / name).is_file():
            raise ArtifactError(
                f"{model_dir / name} is not run, since code belongs into the folder code of the archive; move it to "
                f"code/{name} and set ALLOW_MODEL_CODE=true, or remove it"
            )
    if settings.program and not settings.multi_model:
        submitted = settings.submit_directory
        where = f" (SAGEMAKER_SUBMIT_DIRECTORY {submitted} is not fetched)" if submitted.startswith("s3://") else ""
        raise ArtifactError(
            f"SAGEMAKER_PROGRAM names {settings.program!r}, but {model_dir} has no folder code{where}; put the program into "
            "the folder code of model.tar.gz, or unset SAGEMAKER_PROGRAM"
        )
    if not (model_dir / "model.json").exists():
        for marker in ("model.json", "code", DEFAULT):
            for found in sorted(model_dir.glob(f"*/{marker}")):
                raise ArtifactError(
                    f"{model_dir} holds the artifact one folder too deep, in {found.parent.name}/; pack what is in that folder, "
                    f"as `tar -czf model.tar.gz -C {found.parent.name} .` does"
                )
        if remedy := how_to_load(model_dir):
            raise ArtifactError(
                f"{model_dir} holds neither model.json nor code; {remedy}; write it into code/inference.py of the archive and "
                "set ALLOW_MODEL_CODE=true"
            )


def _elsewhere(folder: Path, name: str) -> str:
    deeper = sorted(path.relative_to(folder) for path in folder.glob(f"*/{name}"))
    if deeper:
        return f"it is in {deeper[0].parent}; move it up, or set SAGEMAKER_PROGRAM={deeper[0]}"
    others = sorted(path.name for path in folder.glob("*.py"))
    if others:
        return f"{folder.name} holds {_some(others)}; name the program in SAGEMAKER_PROGRAM or call it {DEFAULT}"
    return f"name the program in SAGEMAKER_PROGRAM or call it {DEFAULT}"


def _requirements(text: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def _installed(requirement: str) -> bool:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    try:
        return bool(name and importlib.metadata.version(name[0]))
    except importlib.metadata.PackageNotFoundError:
        return False


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
