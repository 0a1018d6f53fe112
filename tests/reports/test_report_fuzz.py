"""A report is made whatever the files contain: no record, metric, trace or verdict of any form raises an error."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.page.render import html, json_text
from reports.report import make
from tests.reports.debugger_files import LOSS, event, event_file, framed
from tests.reports.made import metric, record

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [0, 0.0, 1, -1, 1e-320, 1e308, -1e308, 2**70, float("nan"), float("inf"), True, None, "0.5", [], {}]
    ),
    st.floats(0, 3),
    st.integers(-3, 500),
)
ANYTHING = st.recursive(
    NUMBERS | st.text(max_size=5),
    lambda held: st.lists(held, max_size=3) | st.dictionaries(st.text(max_size=4), held, max_size=3),
    max_leaves=8,
)
EPOCH = st.fixed_dictionaries(
    {"stage": st.sampled_from(["head", "finetune", 3]), "epoch": st.integers(0, 40) | ANYTHING},
    optional={
        **dict.fromkeys(
            ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate"), NUMBERS
        ),
        **dict.fromkeys(("epoch_seconds", "data_wait_share", "images_per_second"), NUMBERS),
        **dict.fromkeys(("step_losses", "step_seconds"), st.lists(NUMBERS, max_size=60) | ANYTHING),
    },
).map(lambda values: record("epoch", **values))
MATRIX = st.integers(0, 4).flatmap(
    lambda size: st.lists(st.lists(st.integers(-1, 40), min_size=size, max_size=size), max_size=4)
)
PHOTO = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("path", "label", "truth", "prediction", "suggestion", "jpeg"), st.text(max_size=4) | ANYTHING),
        **dict.fromkeys(("score", "cosine", "probability", "margin"), NUMBERS | ANYTHING),
        "reasons": st.lists(st.sampled_from(["wrong", "uncertain", "confused"]) | ANYTHING, max_size=3),
    },
)
PHOTOS = st.lists(PHOTO | st.fixed_dictionaries({"first": PHOTO, "second": PHOTO, "cosine": NUMBERS}), max_size=4)
OTHERS = st.sampled_from(
    [
        *("job", "trial", "result", "confusion", "classes", "gradients", "activations", "unreadable", "done"),
        *("mislabelled", "near_duplicates", "thumbnails"),
    ]
).flatmap(
    lambda kind: st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(
                ("hyperparameters", "libraries", "classes", "photos", "notes", "layers", "seconds"), ANYTHING
            ),
            **dict.fromkeys(
                ("number", "count", "accuracy", "accuracy_interval", "loss", "best_epoch", "step"), NUMBERS | ANYTHING
            ),
            **dict.fromkeys(("judged", "of", "compared", "least_cosine"), NUMBERS | ANYTHING),
            **dict.fromkeys(("photos", "pairs"), PHOTOS | ANYTHING),
            "calibration": st.dictionaries(
                st.sampled_from(["count", "hits", "confidence"]), st.lists(NUMBERS, max_size=3)
            ),
            "split": st.sampled_from(["test", "validation"]),
            "matrix": MATRIX | ANYTHING,
            "layers": st.dictionaries(
                st.text(max_size=3), st.dictionaries(st.sampled_from(["mean", "std", "share_zero"]), NUMBERS)
            ),
        },
    ).map(lambda values: record(kind, **values))
)
METRIC = st.builds(
    metric,
    kind=st.sampled_from(["cpu", "gpu", "memory", "network", "i/o"]),
    name=st.sampled_from(["cpu0", "cpu1", "gpu0", "gpu1", "MemoryUsedPercent", "ReceiveBytesPerSecond", "IOPS"]),
    dimension=st.sampled_from(
        ["CPUUtilization", "I/OWaitPercentage", "GPUUtilization", "GPUMemoryUtilization", "", "Platform"]
    ),
    value=NUMBERS,
    time=st.integers(0, 60).map(lambda half: half / 2) | NUMBERS,
    node=st.sampled_from(["algo-1", "algo-2"]),
)
EVENT = st.fixed_dictionaries(
    {"ph": st.sampled_from(["X", "B", "E", "M", 3])},
    optional={
        "name": st.sampled_from(["Step:ModeKeys.TRAIN", "process_name", "op"]) | ANYTHING,
        **dict.fromkeys(("ts", "dur", "pid", "tid"), NUMBERS),
        "args": st.dictionaries(st.sampled_from(["step_num", "start_time_since_epoch_in_micros", "name"]), ANYTHING)
        | ANYTHING,
    },
)
VERDICT = st.fixed_dictionaries(
    {"RuleTriggered": NUMBERS, "Violations": NUMBERS, "Details": ANYTHING},
    optional={"Datapoints": NUMBERS, "RuleParameters": ANYTHING},
)


def report(files: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for path, text in files.items():
            (Path(name) / path).write_text(text)
        made = make(Path(name))
        json.loads(json_text(made))
        html(made)


def lines(values: list[Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


@QUICK
@given(st.lists(EPOCH | OTHERS, max_size=25))
def test_records_of_any_form_give_a_report(records: list[Any]) -> None:
    report({"records.jsonl": lines(records)})


@QUICK
@given(st.lists(EPOCH, min_size=8, max_size=14, unique_by=lambda epoch: str(epoch["epoch"])))
def test_epochs_of_any_losses_give_a_report(records: list[Any]) -> None:
    report({"records.jsonl": lines(records)})


@QUICK
@given(st.lists(METRIC, min_size=1, max_size=120), st.lists(EVENT, max_size=20))
def test_metrics_and_traces_of_any_form_give_a_report(points: list[Any], events: list[Any]) -> None:
    report({"system.json": lines(points), "trace_timeline.json": json.dumps(events)})


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["BatchSize", "Dataloader", "LowGPUUtilization", "LoadBalancing", "StepOutlier"]),
        VERDICT,
        min_size=1,
    )
)
def test_verdicts_of_any_form_give_a_report(verdicts: dict[str, Any]) -> None:
    report({f"{rule}.json": json.dumps(value) for rule, value in verdicts.items()})


@QUICK
@given(st.binary(max_size=400))
def test_bytes_of_any_kind_give_a_report(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "records.jsonl").write_bytes(data)
        (Path(name) / "CPUBottleneck.json").write_bytes(data)
        make(Path(name))


@QUICK
@given(
    st.lists(st.floats(width=32), max_size=3),
    st.sampled_from([LOSS, "gradient/a", "smdebug/reductions/mean/gradient/b", "smdebug/reductions/std/gradient/b"]),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), max_size=3),
)
def test_event_files_of_any_form_give_a_report(
    values: list[float], name: str, mode: int, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(event(name, tuple(values), mode, 3))
    for place, byte in changes:
        content[place % len(content)] = byte
    with tempfile.TemporaryDirectory() as folder:
        path = event_file(Path(folder), 3)
        path.parent.mkdir(parents=True)
        path.write_bytes(framed(bytes(content)))
        html(make(Path(folder)))
