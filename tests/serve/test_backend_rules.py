"""The rules for backends: those that a machine can run, the reading of their errors, and the guard's limits."""

import errno
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from classifier import backends, device
from classifier.backends import BACKENDS, Unavailable, candidates, check
from classifier.errors import ArtifactError, short_reason
from classifier.guard import Verdict, softmax
from classifier.selftest import Selftest
from serve import prepare
from serve.memory import no_room, out_of_memory
from serve.predictor import Predictor, Prepared
from serve.prepare import _compare, _Comparison, _Unlike
from serve.reasons import gpu_lost, long_reason
from tests.standin import prepared_for

PIXELS = np.zeros((4, 2, 2, 3), np.uint8)
# The probabilities of two classes for four photos.
TRAINED = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], np.float32)


def why_not(name: str) -> str:
    with pytest.raises(Unavailable) as refused:
        check(BACKENDS[name])
    return str(refused.value)


def test_a_processor_says_itself_whether_it_computes_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    text = [""]
    monkeypatch.setattr(Path, "read_text", lambda path: text[0])
    for text[0], fast in (
        ("flags\t\t: fpu avx512_bf16 sse", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: avx512_bf16", True),
        ("flags\t\t: fpu avx512f", False),
        ("bugs\t\t: amx_bf16", False),
    ):
        if fast:
            check(BACKENDS["torch-bf16"])
        else:
            assert why_not("torch-bf16") == "the processor has no bfloat16"
        check(BACKENDS["torch"])


def test_where_the_processor_cannot_be_asked_it_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", absent)
    assert why_not("torch-bf16") == "the processor has no bfloat16"


def test_where_openvino_cannot_be_imported_the_reason_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert why_not("openvino").startswith("openvino cannot be imported (import of openvino halted")
    check(BACKENDS["torch"])


def test_a_backend_on_a_gpu_takes_one_that_torch_can_use_and_that_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_gpu = [name for name, backend in BACKENDS.items() if backend.device == "cuda"]
    monkeypatch.setattr(backends, "_has_gpu", lambda: False)
    assert [why_not(name) for name in on_a_gpu] == ["there is no GPU"] * 3
    assert [backend.name for backend in candidates()] == [name for name in BACKENDS if name not in on_a_gpu]
    monkeypatch.setattr(backends, "_has_gpu", lambda: True)
    assert candidates() == list(BACKENDS.values())
    assert [backend.name for backend in candidates("exact")] == ["torch-cuda-fp32", "openvino", "torch"]
    assert candidates("torch-bf16") == [BACKENDS["torch-bf16"]]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [why_not(name) for name in on_a_gpu] == ["torch finds no GPU"] * 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (6, 1))
    assert why_not("torch-cuda") == "the GPU has no fast bfloat16"
    assert why_not("torch-cuda-fp16") == "the GPU has no fast float16"
    check(BACKENDS["torch-cuda-fp32"])


def test_of_an_error_so_much_is_reported_as_a_line_holds() -> None:
    assert short_reason(ValueError("a\n\n  " + "x" * 201 + "  \n")) == "ValueError: " + "x" * 200
    assert short_reason(RuntimeError("CUSPARSE_STATUS: failed\nsecond")) == "RuntimeError: CUSPARSE_STATUS: failed"
    assert long_reason(ValueError(" first\n   second ")) == "ValueError: first second"
    assert long_reason(ValueError("x" * 401)) == "ValueError: " + "x" * 400
    assert long_reason(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("error", "memory", "room", "lost"),
    [
        (MemoryError(), True, True, False),
        (RuntimeError("std::bad_alloc"), True, True, False),
        (RuntimeError("Unable to ALLOCATE MEMORY"), True, True, False),
        (RuntimeError("CUDA error: out of memory"), True, True, False),
        (RuntimeError("CUDA error: device-side assert triggered"), False, False, True),
        (RuntimeError("CUDA driver error: invalid argument"), False, False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER"), False, False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), False, False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED_SHAPE"), False, False, False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"), False, False, False),
        (OSError(errno.ENOSPC, "No space left on device"), False, True, False),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), False, True, False),
        (OSError(errno.ENOMEM, "Cannot"), False, True, False),
        (SafetensorError("I/O error: No space left on device (os error 28)"), False, True, False),
        (OSError(errno.EACCES, "Permission denied"), False, False, False),
        (ValueError(28), False, False, False),
    ],
)
def test_what_an_error_says_of_memory_the_disk_and_the_gpu(
    error: Exception, memory: bool, room: bool, lost: bool
) -> None:
    assert (out_of_memory(error), no_room(error), gpu_lost(error)) == (memory, room, lost)


def test_probabilities_are_torchs_softmax_also_of_large_logits() -> None:
    logits = np.array([[1, 2, 3], [1000, 1001, 999], [-5, 0, 5]], np.float32)
    np.testing.assert_allclose(softmax(logits), torch.softmax(torch.from_numpy(logits), 1).numpy(), rtol=1e-6)


def compared(probabilities: np.ndarray, *, named: bool) -> _Comparison:
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities)
    return _compare(lambda pixels: logits, Selftest(PIXELS, TRAINED), None, 2, named=named)


def test_one_that_a_user_names_may_be_wrong_about_half_of_the_photos_and_no_more() -> None:
    wrong = TRAINED.copy()
    wrong[:2] = wrong[:2, ::-1]
    assert compared(wrong, named=True).difference.top1_changes == 2
    with pytest.raises(_Unlike) as refused:
        compared(wrong, named=False)
    reason = "on 4 photos of the self-test it changes 2 best classes and moves a probability by 0.8000"
    assert str(refused.value) == f"{reason}; at most 0.01 and no other best class are allowed"
    wrong[2] = wrong[2, ::-1]
    with pytest.raises(_Unlike, match=r"changes 3 of 4 best classes, so it is wrong about most of them"):
        compared(wrong, named=True)


def test_one_that_is_not_named_stays_within_the_guard() -> None:
    near = TRAINED + np.array([[-0.009, 0.009]], np.float32)
    assert compared(near, named=False).difference.largest == pytest.approx(0.009, abs=1e-5)
    np.testing.assert_allclose(compared(near, named=True).selftest.probabilities, near, atol=1e-6)
    for named in (False, True):
        with pytest.raises(_Unlike, match="on 4 photos of the self-test it gives numbers that are not finite"):
            compared(TRAINED * np.float32("nan"), named=named)


def test_the_device_that_serves_is_named_as_torch_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu, on_gpu = BACKENDS["openvino"], BACKENDS["torch-cuda"]
    monkeypatch.setattr(device, "found", lambda: "what torch finds")
    monkeypatch.setattr(device, "driver_version", lambda: "535.1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert prepare._device(on_gpu) == "what torch finds"
    # The GPU could be used, but a backend for the processor was chosen; the reason was printed earlier.
    assert prepare._device(on_cpu) == device.line(cuda=None, gpus=(), driver=None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert prepare._device(on_cpu) == "what torch finds"
    monkeypatch.delitem(sys.modules, "torch")
    assert prepare._device(on_cpu).endswith("NVIDIA driver 535.1 is unused, as this is the CPU build of torch")


@pytest.mark.parametrize("given", [["--out", "a"], ["--model-dir", "a"]])
def test_without_one_of_both_folders_nothing_is_prepared(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        prepare.main(given)
    assert ended.value.code == 2 and "the following arguments are required: --" in capsys.readouterr().err


def test_a_backend_that_there_is_not_is_refused_before_the_artifact_is_read(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="backend 'other' must be one of auto, exact, torch-cuda, "):
        prepare.prepare(tmp_path / "absent", tmp_path / "out", "other")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ArtifactError("no weights"), 1, "no weights"),
        (ValueError("first\nlast"), 1, "ValueError: last"),
        (OSError(errno.ENOSPC, "No space left"), 3, "OSError: [Errno 28] No space left"),
        (MemoryError("many"), 3, "MemoryError: many"),
    ],
)
def test_the_status_of_the_preparation_says_whether_there_was_no_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: int, said: str
) -> None:
    def fail(model_dir: Path) -> None:
        raise error

    monkeypatch.setattr("classifier.artifact.check", fail)
    assert prepare.main(["--model-dir", "a", "--out", "b"]) == status
    assert capsys.readouterr().err == f"{said}\n"


def test_which_device_serves_is_what_the_preparation_wrote(tmp_path: Path) -> None:
    verdict = Verdict(
        photos=64,
        hits=50,
        trained_hits=51,
        gain=-0.01,
        error=0.002,
        changes=2,
        decided_changes=0,
        noise=0.03,
        most_noise=0.05,
    )
    for name, backend in BACKENDS.items():
        written = replace(prepared_for(name), ir=tmp_path / "a.xml", verdict=verdict)
        written.write(tmp_path)
        assert Prepared.read(tmp_path) == written
        prepared_for(name).write(tmp_path)
        assert Prepared.read(tmp_path) == prepared_for(name)
        assert Prepared.read(tmp_path).backend.device == backend.device


def test_a_worker_gives_back_a_gpus_memory_and_does_nothing_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(True))
    Predictor.free(Predictor.__new__(Predictor))
    assert freed == [True]
    monkeypatch.delitem(sys.modules, "torch")
    Predictor.free(Predictor.__new__(Predictor))
    assert freed == [True]
