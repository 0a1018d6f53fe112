"""The script that measures on a GPU: its code runs on a processor, and it keeps its results when it is stopped."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tests.conftest import ROOT
from tests.gpu import stock
from tests.gpu.checks import Setting, ready_model


def script(out: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.gpu", "--out", str(out), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kept(out: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = json.loads(out.read_text())["lines"]
    return lines


@pytest.mark.slow
def test_its_checks_run_without_a_gpu_and_give_a_verdict_a_line(tmp_path: Path) -> None:
    with script(tmp_path / "gpu.json", "--device", "cpu", "--quick", "--only", "device,ranks,errors") as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    lines = kept(tmp_path / "gpu.json")
    assert [(line["check"], line["verdict"]) for line in lines] == [
        ("device", "right"),
        ("device", "measured"),
        ("ranks", "right"),
        ("errors", "not run: it takes a GPU"),
    ]
    assert "| ranks | two ranks, gloo, the processor | the same sums | right |" in output


@pytest.mark.slow
def test_it_compares_networks_fed_from_files_with_networks_fed_from_memory_and_the_two_decoders(tmp_path: Path) -> None:
    with script(tmp_path / "gpu.json", "--device", "cpu", "--quick", "--only", "networks,decoding") as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    passed, tuned, decoded = kept(tmp_path / "gpu.json")
    assert [passed["name"].split(": ")[1], tuned["name"].split(": ")[1]] == ["feature pass", "fine-tuning"]
    for line in (passed, tuned):
        figure = re.fullmatch(r"(\d+) photos/s, ([\d.]+) of the (\d+) from memory", line["figure"])
        assert figure, line
        rate, share, limit = map(float, figure.groups())
        assert share == pytest.approx(rate / limit, abs=0.01 + (1 + share) / limit)  # the three are rounded
    # torchvision decodes only beside the torch that it was built for.
    equal = re.fullmatch(r"\d+ photos/s; \d of 8 equal Pillow's, else up to \d+ of 255 off", decoded["figure"])
    assert equal or "was built for another torch" in decoded["verdict"]


@pytest.mark.stock
def test_it_sends_the_same_load_to_our_server_and_to_the_stock_handler(tmp_path: Path) -> None:
    with script(tmp_path / "gpu.json", "--device", "cpu", "--quick", "--only", "serving,stock") as process:
        _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    loads = {(line["check"], line["name"]): line for line in kept(tmp_path / "gpu.json") if "clients" in line["name"]}
    assert list(loads) == [(check, f"{clients} clients") for check in ("serving", "stock") for clients in (1, 4)]
    for line in loads.values():
        assert line["verdict"] == "right"
        figure = re.fullmatch(r"(\d+) photos/s, median ([\d.]+) ms, 99 % within ([\d.]+) ms", line["figure"])
        assert figure and float(figure[1]) > 0 and float(figure[2]) <= float(figure[3])


def test_without_the_stock_handler_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stock, "PACKAGES", tmp_path / "missing")
    [(_, _, verdict)] = stock.stock(Setting(device="cpu", quick=True))
    assert verdict == "not run: sagemaker-inference is not installed; make .venv-stock/.ready"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_says_so_and_is_not_a_success(tmp_path: Path) -> None:
    with script(tmp_path / "gpu.json", "--only", "device") as process:
        process.communicate(timeout=300)
    assert process.returncode == 1
    assert [(line["figure"], line["verdict"]) for line in kept(tmp_path / "gpu.json")] == [
        ("torch finds no GPU", "wrong")
    ]


def test_it_keeps_what_it_has_when_it_is_stopped(tmp_path: Path) -> None:
    with script(tmp_path / "gpu.json", "--device", "cpu", "--quick", "--only", "device,steps,pass,finetune") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("| device | found |"))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=300)
    assert "stopped; what was found by then is kept" in errors
    assert kept(tmp_path / "gpu.json")[0]["check"] == "device"


def test_a_check_for_which_no_time_is_left_is_named(tmp_path: Path) -> None:
    with script(tmp_path / "gpu.json", "--seconds", "0", "--only", "device,steps") as process:
        process.communicate(timeout=300)
    assert [line["verdict"] for line in kept(tmp_path / "gpu.json")] == ["not run: no time was left"] * 2


def test_the_limit_of_fine_tuning_keeps_the_statistics_of_batch_normalisation_as_fine_tuning_does() -> None:
    model, crop = ready_model("timm/test_efficientnet", 3)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    model(torch.randint(256, (2, crop, crop, 3), dtype=torch.uint8))
    after = [norm.running_mean for norm in norms if norm.running_mean is not None]
    assert model.training and before and not any(norm.training for norm in norms)
    torch.testing.assert_close(after, before)
