"""Pipe mode: the real program reads channels from real FIFOs, with RecordIO and with augmented manifests."""

import contextlib
import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from classifier.errors import ConfigError, DataError
from classifier.images import read_photo
from classifier.photos import load_photo_set
from launch.opt_ml import write_configuration
from tests.conftest import Run, run_training
from tests.ports import free_port
from tests.recordio import MARK, labelled, packed, part, record, write_records
from train import stop
from train.contract import read_job
from train.spool.pipe import spool

JPEG = b"\xff\xd8\xff\xe0"


@contextlib.contextmanager
def fed(fifo: Path, data: bytes, *, late: float = 0.0, step: int = 1 << 20) -> Iterator[None]:
    """Make a FIFO and write `data` into it as the platform does, `late` seconds from now."""

    def write() -> None:
        while not fifo.parent.is_dir():
            time.sleep(0.05)
        time.sleep(late)
        os.mkfifo(fifo)
        # The program closes the FIFO early if it refuses the data.
        with contextlib.suppress(BrokenPipeError), fifo.open("wb", buffering=0) as pipe:
            for start in range(0, len(data), step):
                pipe.write(data[start : start + step])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        while thread.is_alive():  # blocked in open() if nobody has opened the FIFO to read
            thread.join(0.1)
            with contextlib.suppress(FileNotFoundError):
                os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))


def kept(folder: Path, data: bytes, **options: Any) -> dict[str, list[bytes]]:
    """Return the photos of each class from a FIFO with `data`, in the order of the classes."""
    with fed(folder / "train_0", data, **options):
        spool(folder / "train_0", "train", folder / "train")
    channels = dict.fromkeys(("train", "validation", "test"), folder / "train")
    photos = load_photo_set(channels, validation_share=0.5, seed=1)
    found: dict[str, list[bytes]] = {name: [] for name in photos.classes}
    for photo in photos.splits["test"]:
        found[photos.classes[photo.label]].append(read_photo(photo.path))
    return found


def wrapped(*attributes: bytes) -> bytes:
    return b"".join(record(attribute) for attribute in attributes)


def test_packed_records_are_kept_with_numeric_classes(tmp_path: Path) -> None:
    photos = [(JPEG + bytes([number]) * 70_000, float(number)) for number in (10, 9, 10, 2)]
    data = b"".join(record(packed(photo, label)) for photo, label in photos)
    found = kept(tmp_path, data)
    assert list(found) == ["2", "9", "10"] and found["10"] == [photos[0][0], photos[2][0]]


def test_every_five_seconds_a_line_says_how_much_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The clock is read at the beginning, after each photo, and with each line.
    times = iter([1000, 1004.9, 1005, 1005, 1009.9, 1010, 1010])
    monkeypatch.setattr("train.spool.pipe.time", SimpleNamespace(monotonic=lambda: next(times)))
    kept(tmp_path, b"".join(record(packed(JPEG * 250_000, number % 2)) for number in range(4)))
    assert capsys.readouterr().err.splitlines() == [
        "channel train: 2 photos, 2 MB read",
        "channel train: 4 photos, 4 MB read",
    ]
    assert not list(times)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_bytes_may_come_in_any_pieces(tmp_path: Path, step: int) -> None:
    data = b"".join(record(packed(photo, label)) for photo, label in ((JPEG + MARK * 2, 1), (JPEG, 0), (MARK, 1)))
    assert kept(tmp_path, data, step=step) == {"0": [JPEG], "1": [JPEG + MARK * 2, MARK]}


def test_gzip_that_the_platform_left_on_is_taken_off(tmp_path: Path) -> None:
    one, two = record(packed(JPEG * 50_000, 0)), record(packed(b"two", 1))
    assert kept(tmp_path, gzip.compress(one) + gzip.compress(two), step=777) == {"0": [JPEG * 50_000], "1": [b"two"]}


def test_attributes_of_an_augmented_manifest_are_photo_and_label(tmp_path: Path) -> None:
    data = wrapped(JPEG, b"10", JPEG + b"a", b'"9"', JPEG + b"b", b"10.0", b"", b"9", b"damaged \xff", b"9")
    assert kept(tmp_path, data) == {"9": [JPEG + b"a", b"", b"damaged \xff"], "10": [JPEG, JPEG + b"b"]}


ABOUT = [json.dumps({"class-name": name, "confidence": 0.9}).encode() for name in ("cat", "dog")]


@pytest.mark.parametrize(
    "order", [(0, 1), (1, 0), (0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0), (0, 2)], ids=lambda order: str(order)
)
def test_attributes_may_come_in_any_order_and_names_come_before_numbers(tmp_path: Path, order: tuple[int, ...]) -> None:
    lines = [(JPEG + b"a", b"0", ABOUT[0]), (JPEG + b"b", b"1", ABOUT[1]), (JPEG + b"c", b"0", ABOUT[0])]
    found = kept(tmp_path, wrapped(*(line[place] for line in lines for place in order)))
    names = ["cat", "dog"] if 2 in order else ["0", "1"]
    assert found == {names[0]: [JPEG + b"a", JPEG + b"c"], names[1]: [JPEG + b"b"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "nothing came through the pipe of the channel 'train'; check that its S3 address holds photos"),
        (JPEG * 100, r"not RecordIO \(it begins with ff d8 ff e0\): .* give it the input mode FastFile"),
        (b'{"source-ref"', "not RecordIO"),
        (b"\n", "not RecordIO"),
        (gzip.compress(JPEG * 100), "record 1 of the channel 'train' is damaged"),
        (gzip.compress(record(packed(JPEG, 0)))[:-9], "the gzip data of the channel 'train' is damaged"),
        (gzip.compress(record(packed(JPEG, 0))) + b"more", "the gzip data of the channel 'train' is damaged"),
        (wrapped(wrapped(packed(JPEG, 0))), "are RecordIO files as a whole; leave its record wrapping at None"),
        (wrapped(JPEG, JPEG, JPEG), "come without labels; send an augmented manifest with AttributeNames such as"),
        (wrapped(JPEG), "come without labels"),
        (wrapped(*40 * [b"0"]), "has no photo among its first 33 records; let AttributeNames be the photo and its label"),
        (wrapped(JPEG, b"0", JPEG), "record 3 of the channel 'train' is the last, but each photo .* with 1 other records"),
        (wrapped(JPEG, b"0", b"1", JPEG, b"0", b"1"), "comes with 2 attributes of which no single one is its class"),
        (wrapped(JPEG, b"0", JPEG, JPEG), "the photo in record 3 .* comes with a label that is not text"),
        (wrapped(JPEG, b"[0, 1]"), "the photo in record 1 of the channel 'train' has the label .0, 1.; training needs one"),
        (wrapped(JPEG, b""), "has an empty label"),
        (wrapped(JPEG, b'{"failure-reason": "x"}'), "the photo in record 1 .* was never labelled"),
        (wrapped(packed(JPEG, 0), packed(JPEG, 0.5)), "record 2 of the channel 'train' has the label 0.5"),
        (record(packed(JPEG, 0)) + MARK, "record 2 of the channel 'train' is cut off"),
        (record(packed(JPEG, 0)) + part(1, b"x"), "record 2 of the channel 'train' is cut off"),
        (MARK + (399_999_999).to_bytes(4, "little") + b"x", "record 1 of the channel 'train' is cut off"),
        (MARK + (400_000_001).to_bytes(4, "little") + b"x", "record 1 .* is longer than 400,000,000 bytes"),
    ],
    ids=range(22),
)  # fmt: skip
def test_what_a_pipe_should_not_hold_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        kept(tmp_path, data)


def test_a_pipe_that_never_comes_or_stays_silent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYOC_PIPE_DEADLINE", "0.3")
    sentence = r"no byte came through .*train_0 for 0\.3 s, so the channel 'train' has no photos; check its S3 address"
    with pytest.raises(ConfigError, match=sentence):
        spool(tmp_path / "train_0", "train", tmp_path / "absent")
    os.mkfifo(tmp_path / "train_0")
    with pytest.raises(ConfigError, match=sentence):
        spool(tmp_path / "train_0", "train", tmp_path / "silent")
    writer = os.open(tmp_path / "train_0", os.O_RDWR)
    os.write(writer, record(packed(JPEG, 0)))
    with pytest.raises(ConfigError, match=sentence):
        spool(tmp_path / "train_0", "train", tmp_path / "stuck")
    os.close(writer)
    for text in ("soon", "0", "inf", "nan"):
        monkeypatch.setenv("BYOC_PIPE_DEADLINE", text)
        with pytest.raises(ConfigError, match=r"BYOC_PIPE_DEADLINE is .* it must be a number of seconds above 0"):
            spool(tmp_path / "train_0", "train", tmp_path / text)


def test_sigterm_is_heard_while_bytes_keep_coming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "requested", stop.Flag())
    stop.requested.set()
    data = record(packed(JPEG, 0)) * 100
    with fed(tmp_path / "train_0", data), pytest.raises(stop.Stopped, match="while the channel 'train' was read"):
        spool(tmp_path / "train_0", "train", tmp_path / "train")


def test_a_folder_in_the_place_of_a_pipe_is_named(tmp_path: Path) -> None:
    (tmp_path / "train_0").mkdir()
    with pytest.raises(
        ConfigError, match=r"train_0 cannot be read \(Is a directory\); make it a FIFO that you may read"
    ):
        spool(tmp_path / "train_0", "train", tmp_path / "train")


def test_a_disk_without_room_is_named(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    data = record(packed(JPEG * 1000, 0)) * 3
    with (
        fed(tmp_path / "train_0", data),
        pytest.raises(DataError, match=r"do not fit into .*; give the job a larger volume"),
    ):
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            spool(tmp_path / "train_0", "train", tmp_path / "train")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def as_streams(tiny: Path, form: str) -> dict[str, bytes]:
    streams = {}
    for split in ("train", "validation", "test"):
        photos = labelled(tiny / split)
        if form == "packed":
            streams[split] = b"".join(record(packed(photo, label)) for photo, label in photos)
        else:
            names = ("brick", "coffee")
            about = [json.dumps({"class-name": name}).encode() for name in names]
            streams[split] = b"".join(
                wrapped(photo, str(int(label)).encode(), about[int(label)]) for photo, label in photos
            )
    return streams


def train_piped(base: Path, streams: Mapping[str, bytes], *, late: float = 0.0, **hyperparameters: str) -> Run:
    with contextlib.ExitStack() as feeding:
        for name, data in streams.items():
            feeding.enter_context(fed(base / "input" / "data" / f"{name}_0", data, late=late))
        names = {name.replace("_", "-"): value for name, value in hyperparameters.items()}
        return run_training(base, {name: base / "nowhere" for name in streams}, names, mode="Pipe")


@pytest.mark.slow
def test_piped_records_train_and_fine_tune_and_leave_nothing_behind(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    run = train_piped(tmp_path / "job", as_streams(tiny, "packed"), late=2.0, epochs="1", finetune_epochs="1")
    assert run.status == 0, run.errors
    job = run.record("job")
    assert job["classes"] == ["0", "1"] and job["photos"] == {"train": 8, "validation": 4, "test": 4}
    assert run.record("epoch", stage="finetune") and not list(scratch.iterdir())


@pytest.mark.slow
def test_a_piped_augmented_manifest_trains_on_names(tiny: Path, tmp_path: Path) -> None:
    run = train_piped(tmp_path / "job", as_streams(tiny, "augmented"), epochs="1")
    assert run.status == 0, run.errors
    assert run.record("job")["classes"] == ["brick", "coffee"]


@pytest.mark.slow
def test_one_piped_channel_of_any_name_is_split(tiny: Path, tmp_path: Path) -> None:
    run = train_piped(tmp_path / "job", {"images": as_streams(tiny, "packed")["train"]}, epochs="1")
    assert run.status == 0, run.errors
    assert run.record("job")["photos"] == {"train": 6, "validation": 2}


def test_pipe_and_file_give_the_same_photos_and_classes(tiny: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "a" / "train.rec", labelled(tiny / "train"))
    plain = load_photo_set({"train": tmp_path / "a", "test": tmp_path / "a"}, validation_share=0.5, seed=1)
    found = kept(tmp_path, as_streams(tiny, "packed")["train"])
    expected: dict[str, list[bytes]] = {name: [] for name in plain.classes}
    for photo in plain.splits["test"]:
        expected[plain.classes[photo.label]].append(read_photo(photo.path))
    assert list(found) == list(expected)
    assert {name: sorted(photos) for name, photos in found.items()} == {
        name: sorted(photos) for name, photos in expected.items()
    }


def test_sigterm_while_a_pipe_is_silent_ends_the_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    base, scratch = tmp_path / "job", tmp_path / "scratch"
    scratch.mkdir()
    lay_out(base, ["train"], {})
    fifo = base / "input" / "data" / "train_0"
    os.mkfifo(fifo)
    process = started(base, {"TMPDIR": str(scratch)})
    try:
        with fifo.open("wb"):  # returns when the program has opened the FIFO too
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 143
    assert "stopped by SIGTERM while the channel 'train' was read" in output and not list(scratch.iterdir())


@pytest.mark.slow
def test_two_hosts_read_their_pipes_and_train_together(tiny: Path, tmp_path: Path) -> None:
    hosts, streams = ("127.0.0.1", "127.0.0.2"), as_streams(tiny, "packed")
    port = str(free_port())
    processes = []
    with contextlib.ExitStack() as stack:
        for host in hosts:
            base = tmp_path / host
            lay_out(base, streams, {"current_host": host, "hosts": hosts, "network_interface_name": "lo"})
            for name, data in streams.items():
                stack.enter_context(fed(base / "input" / "data" / f"{name}_0", data))
            processes.append(started(base, {"MASTER_PORT": port}))
            stack.callback(processes[-1].kill)
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "2 classes; photos: 8 train, 4 validation, 4 test" in outputs[0]


def lay_out(base: Path, channels: Iterable[str], resources: Mapping[str, object]) -> None:
    """Write a job's configuration with piped channels."""
    (base / "input" / "data").mkdir(parents=True)
    hyperparameters = {"backbone": "timm/test_efficientnet", "weights": "random", "epochs": "1"}
    piped = {"TrainingInputMode": "Pipe"}
    write_configuration(base / "input" / "config", channels, hyperparameters, channel=piped, resources=resources)


def started(base: Path, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "train"],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_reading_the_configuration_leaves_the_pipes_to_a_users_script(tmp_path: Path) -> None:
    lay_out(tmp_path / "job", ["train", "code"], {})
    assert read_job(tmp_path / "job").pipes == {"train", "code"}


def test_only_photos_can_be_piped(tmp_path: Path) -> None:
    run = train_piped(tmp_path / "job", {"train": b"", "pretrained": b""})
    assert run.status == 1 and run.failure.startswith(
        "the channel 'pretrained' has the input mode Pipe, which is for photos"
    )
