"""Opens an artifact's model on backends: from its OpenVINO or ONNX file if it has one, else converted from the torch model."""

from pathlib import Path
from typing import TYPE_CHECKING

from classifier import artifact
from classifier.artifact import Contents
from classifier.backends import Backend, Forward, ir
from classifier.errors import ArtifactError, short_reason
from classifier.guard import softmax
from classifier.selftest import check_selftest, read_selftest, run_selftest
from serve.memory import no_room

if TYPE_CHECKING:
    from classifier.models import Classifier


class ModelSource:
    """Opens the model of the artifact in `model_dir`. Parts that several backends need are loaded or converted only once.

    `out` is the folder for converted files. `ir` is the OpenVINO model in use, None until a backend needs one.
    """

    def __init__(self, model_dir: Path, out: Path, contents: Contents) -> None:
        self.model_dir, self.out, self.contents = model_dir, out, contents
        self.selftest = read_selftest(model_dir)
        self.ir: Path | None = None
        self._torch: Classifier | None = None

    def open(self, backend: Backend) -> Forward:
        """Return the model as a forward function; raises the errors of the backend's library, and ArtifactError for a wrong model."""
        if backend.library == "torch":
            from classifier.backends import eager

            return eager.open_torch(self._model(), backend, self.contents.spec.preprocessing.crop)
        if self.ir is None:
            self.ir = self._kept(ir.IR) or self._kept(artifact.ONNX) or self._converted()
        return ir.open_ir(self.ir, backend.precision, threads=1)

    def _model(self) -> "Classifier":
        if self._torch is None:
            try:
                model, _ = artifact.load(self.model_dir)
            except ImportError as error:
                raise ArtifactError(
                    f"{self.model_dir} holds no {ir.IR} that can be used, and torch, which would make one, cannot be imported ({error}); "
                    "serve it with an image that holds torch, or train it again with export-openvino=on"
                ) from error
            run_selftest(self.model_dir, model)
            self._torch = model
        return self._torch

    def _kept(self, name: str) -> Path | None:
        """Return a model of the artifact that OpenVINO reads; None if there is no such model, or if it fails, which is printed.

        Importing torch and building the model instead takes four seconds more.
        """
        if name not in self.contents.files:
            return None
        try:
            path = self.model_dir / name
            if name == artifact.ONNX:
                import openvino

                ir.write_ir(openvino.Core().read_model(path), self.out)
                path = self.out / ir.IR
            forward = ir.open_ir(path, "fp32", threads=1)
            check_selftest(self.model_dir, softmax(forward(self.selftest.pixels)), self.selftest)
            return path
        except Exception as error:
            if no_room(error):  # building the model would take more memory
                raise
            print(f"{name} is not used: {short_reason(error)}", flush=True)
            return None

    def _converted(self) -> Path:
        ir.write_ir(ir.from_torch(self._model(), self.contents.spec.preprocessing.crop), self.out)
        return self.out / ir.IR
