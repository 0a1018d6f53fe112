"""torchvision and timm beside the environment's build of torch, imported as a user's code imports them."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def python(code: str, *arguments: str | Path, launcher: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """Run code that knows nothing about this project, in a new Python process."""
    command = [
        sys.executable,
        *launcher,
        *(["-c", textwrap.dedent(code)] if not launcher else []),
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, cwd="/")


def prints(code: str, *arguments: str | Path) -> str:
    done = python(code, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def without_operators() -> None:
    if prints("import torchvision; print(torchvision.extension._has_ops())") == "True":
        pytest.skip("this torchvision was built for the torch beside it")


@pytest.mark.parametrize("first", ["torchvision", "timm", "torchvision.io.image"])
def test_each_library_can_be_imported_first(first: str) -> None:
    code = f"import {first}; import torch, torchvision, timm, PIL, numpy; print(torchvision.models.resnet18().fc.out_features)"
    assert prints(code) == "1000"


@pytest.mark.slow
def test_models_learn_and_answer_with_and_without_auxiliary_classifiers() -> None:
    code = """
        import torch, torchvision
        model = torchvision.models.inception_v3(weights=None, init_weights=False)
        main, auxiliary = model.train()(torch.rand(2, 3, 299, 299))
        (main.sum() + auxiliary.sum()).backward()
        assert model.Conv2d_1a_3x3.conv.weight.grad is not None
        print(tuple(model.eval()(torch.rand(1, 3, 299, 299)).shape), tuple(auxiliary.shape))
    """
    assert prints(code) == "(1, 1000) (2, 1000)"


@pytest.mark.slow
def test_transforms_of_both_generations_and_image_folders_work_in_loader_processes(samples: Path) -> None:
    code = """
        import sys, torch
        from torchvision import datasets, transforms
        from torchvision.transforms import v2

        def main():
            old = transforms.Compose([transforms.RandomResizedCrop(64), transforms.AutoAugment(), transforms.ToTensor()])
            new = v2.Compose([v2.ToImage(), v2.RandomResizedCrop(64), v2.TrivialAugmentWide(), v2.ToDtype(torch.float32, scale=True)])
            for transform, context in ((old, "fork"), (new, "spawn")):
                photos = datasets.ImageFolder(sys.argv[1], transform)
                loader = torch.utils.data.DataLoader(photos, 4, num_workers=2, multiprocessing_context=context)
                print(tuple(next(iter(loader))[0].shape), len(photos.classes))
    """
    script = textwrap.dedent(code) + '\nif __name__ == "__main__":\n    main()\n'
    path = samples.parent / "loads.py"  # spawned processes import the script again
    path.write_text(script)
    done = python("", path, samples / "test", launcher=("-W", "error::RuntimeWarning"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(4, 3, 64, 64) 14"] * 2


@pytest.mark.slow
def test_timm_makes_models_and_their_transforms() -> None:
    code = """
        import timm, torch
        model = timm.create_model("resnet18", num_classes=5).eval()
        data = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=True)
        print(tuple(model(torch.rand(1, 3, 224, 224)).shape), len(data.transforms))
    """
    assert prints(code).startswith("(1, 5) ")


@pytest.mark.slow
def test_models_are_exported_and_scripted() -> None:
    code = """
        import torch, torchvision
        model = torchvision.models.resnet18(num_classes=3).eval()
        pixels = torch.rand(1, 3, 64, 64)
        exported, scripted = torch.export.export(model, (pixels,)).module(), torch.jit.script(model)
        torch.testing.assert_close(exported(pixels), model(pixels))
        torch.testing.assert_close(scripted(pixels), model(pixels))
        print(torch.jit.script(torchvision.ops.nms).name)
    """
    assert prints(code) == "nms"


@pytest.mark.slow
def test_a_launcher_of_processes_starts_code_that_imports_torchvision(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os, torchvision\nprint(os.environ['RANK'], torchvision.ops.box_area.__name__)\n")
    arguments = ("--nproc-per-node", "2", "--master-port", "0", script)
    done = python("", *arguments, launcher=("-m", "torch.distributed.run", "--standalone"))
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n"))[1:] == ["0 box_area", "1 box_area"]


CALLS = {
    "ops.nms": "torchvision.ops.nms(torch.rand(2, 4), torch.rand(2), 0.5)",
    "ops.deform_conv2d": "torchvision.ops.deform_conv2d(torch.rand(1, 1, 4, 4), torch.rand(1, 2, 4, 4), torch.rand(1, 1, 1, 1))",
    "ops.roi_pool": "torchvision.ops.roi_pool(torch.rand(1, 1, 4, 4), torch.rand(1, 5), 2)",
    "io.read_image": "torchvision.io.read_image('photo.jpg')",
    "io.decode_jpeg": "torchvision.io.decode_jpeg(torch.zeros(4, dtype=torch.uint8))",
    "io.write_png": "torchvision.io.write_png(torch.zeros(3, 4, 4, dtype=torch.uint8), 'photo.png')",
}


@pytest.mark.usefixtures("without_operators")
def test_an_operator_that_cannot_work_says_so_when_it_is_called() -> None:
    code = """
        import sys, torch, torchvision
        for call in sys.argv[1:]:
            try:
                print(eval(call))
            except RuntimeError as error:
                print(error)
    """
    sentences = prints(code, *CALLS.values()).splitlines()
    for name, sentence in zip(CALLS, sentences, strict=True):
        assert (
            sentence.startswith(f"torchvision.{name} cannot run here, because torchvision ")
            and "+cpu beside" in sentence
        )
        assert sentence.endswith("or install the torchvision that was built for this torch")


@pytest.mark.usefixtures("without_operators")
def test_a_detector_raises_the_reason_when_it_answers() -> None:
    code = """
        import torch, torchvision
        model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
        model.eval()([torch.rand(3, 64, 64)])
    """
    done = python(code)
    assert "RuntimeError: torchvision.ops.nms cannot run here, because" in done.stderr


@pytest.mark.usefixtures("without_operators")
def test_code_that_declares_the_operators_itself_still_works() -> None:
    code = """
        import torch
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision, importlib
        importlib.reload(torchvision.extension)
        print(torchvision.models.resnet18().fc.in_features)
    """
    assert prints(code) == "512"


def test_a_python_that_never_imports_torchvision_loads_nothing_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)  # coverage imports typing
    code = "import sys; print(sorted({'torch', 'typing', 'byoc_torchvision'} & set(sys.modules)))"
    assert prints(code) == "['byoc_torchvision']"


def test_a_torchvision_whose_operators_load_is_left_as_it_is(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    (package / "io").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import extension\n")
    (package / "extension.py").write_text("def _has_ops(): return True\ndef _assert_has_ops(): return 'as it was'\n")
    (package / "io/__init__.py").write_text("from .image import read_image\n")
    (package / "io/image.py").write_text("def _has_image_ops(): return True\ndef read_image(path): return 'an image'\n")
    code = f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        import torchvision.io
        print(torchvision.extension._assert_has_ops(), torchvision.io.read_image(""), "torch" in sys.modules)
    """
    assert prints(code) == "as it was an image False"
