"""Reading our own records: those of today's training, of a killed job, and old, damaged and foreign ones."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from classifier.errors import DataError
from reports.report import read
from reports.sources.records import read_records
from tests.conftest import Run, needs_torch
from tests.reports.made import course, done, epoch, healthy, job, judged, metrics, record, write


def records(folder: Path) -> Path:
    return folder / "output" / "data" / "records.jsonl"


@needs_torch
def test_the_records_that_training_writes_today_are_read_whole(trained: Run) -> None:
    evidence, missing = read(trained.base)
    assert evidence.run is not None and missing == ()
    result = trained.record("result", split="test")
    split = next(split for split in evidence.run.splits if split.name == "test")
    assert split.result is not None
    assert (split.result.accuracy, split.result.count) == (result["accuracy"], result["count"])
    assert [list(row) for row in split.confusion] == trained.record("confusion", split="test")["matrix"]
    epochs = [one for one in trained.records if one["kind"] == "epoch"]
    assert [one.train_loss for one in evidence.run.epochs] == [one["train_loss"] for one in epochs]
    assert [list(one.step_seconds) for one in evidence.run.epochs] == [one["step_seconds"] for one in epochs]
    assert evidence.run.finished and evidence.run.part_seconds == trained.record("done")["seconds"]


def test_a_killed_job_gives_what_it_wrote_and_says_what_is_missing(tmp_path: Path) -> None:
    run = read_records(records(write(tmp_path, [job(), *course([2.0, 1.0], [2.1, 1.1])])))
    assert len(run.epochs) == 2 and not run.finished
    assert any("No result was recorded" in sentence for sentence in run.missing)
    assert any("failed, was stopped, or still runs" in sentence for sentence in run.missing)


def test_a_line_that_was_cut_off_affects_no_other_line(tmp_path: Path) -> None:
    path = records(write(tmp_path, healthy()))
    path.write_text(path.read_text() + '{"kind": "epoch", "version": 1, "epo')
    run = read_records(path)
    assert len(run.epochs) == 10
    assert any("1 line could not be read as JSON objects" in sentence for sentence in run.missing)


def test_records_of_a_newer_version_are_not_guessed_at(tmp_path: Path) -> None:
    run = read_records(records(write(tmp_path, [job(), epoch(1, 1.0, 1.0), epoch(2, 0.5, 0.5) | {"version": 2}])))
    assert [one.number for one in run.epochs] == [1]
    assert any("version 2" in sentence for sentence in run.missing)


def test_unknown_kinds_and_keys_are_ignored_as_the_format_says(tmp_path: Path) -> None:
    run = read_records(
        records(write(tmp_path, [*healthy(), record("weather", rain=True), epoch(11, 1.0, 1.0, moon=3)]))
    )
    assert len(run.epochs) == 11 and run.missing == ()


@pytest.mark.parametrize(
    "damaged",
    [
        {"kind": "epoch", "version": 1},
        {"kind": "epoch", "version": 1, "epoch": "three"},
        {"kind": "trial", "version": 1, "hyperparameters": []},
        {"kind": "result", "version": 1, "split": "test", "accuracy": "high", "count": 3},
        {"kind": "confusion", "version": 1, "split": "test", "matrix": [[1, 2], [3]]},
        {"kind": "confusion", "version": 1, "split": "test", "matrix": [[1, -2], [3, 4]]},
        {"kind": "classes", "version": 1, "split": "test", "classes": "all"},
        {"kind": "gradients", "version": 1, "layers": 7},
    ],
)
def test_a_record_without_what_its_kind_must_hold_is_named_and_left_out(
    tmp_path: Path, damaged: dict[str, object]
) -> None:
    run = read_records(records(write(tmp_path, [*healthy(), damaged])))
    kind = damaged["kind"]
    assert run.missing == (f"1 records of kind {kind} lack required members and were left out.",)
    assert len(run.epochs) == 10


@pytest.mark.parametrize(
    "text", ["", "\n\n", "[1, 2]\n", "nonsense", "\x00\xff", "null\n", '{"kind": 3, "version": 1}\n']
)
def test_a_file_that_holds_no_records_gives_a_run_that_says_so(tmp_path: Path, text: str) -> None:
    path = records(write(tmp_path, []))
    path.write_bytes(text.encode("latin-1"))
    run = read_records(path)
    assert run.epochs == () and any("No epoch was recorded" in sentence for sentence in run.missing)


def test_numbers_that_were_not_finite_stay_unknown(tmp_path: Path) -> None:
    path = records(write(tmp_path, [job(), epoch(1, 1.0, 1.0, step_losses=[0.5, None], train_loss=None)]))
    path.write_text(
        path.read_text() + '{"kind": "epoch", "version": 1, "epoch": 2, "train_loss": NaN, "step_losses": [Infinity]}\n'
    )
    run = read_records(path)
    assert [one.step_losses for one in run.epochs] == [(0.5, None), (None,)]
    assert [one.train_loss for one in run.epochs] == [None, None]


def test_epochs_that_are_written_again_after_an_interruption_count_once(tmp_path: Path) -> None:
    run = read_records(records(write(tmp_path, [job(), epoch(1, 2.0, 2.0), epoch(1, 2.0, 2.0), epoch(2, 1.0, 1.0)])))
    assert [one.number for one in run.epochs] == [1, 2]


def test_compressed_records_are_read_and_a_cut_one_up_to_the_cut(tmp_path: Path) -> None:
    data = records(write(tmp_path / "a", healthy())).read_bytes()
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "records.jsonl.gz").write_bytes(gzip.compress(data))
    evidence, missing = read(tmp_path / "whole")
    assert evidence.run is not None and len(evidence.run.epochs) == 10 and missing == ()
    cut = tmp_path / "cut" / "records.jsonl.gz"
    cut.parent.mkdir()
    cut.write_bytes(gzip.compress(data)[:-40])
    evidence, missing = read(cut.parent)
    assert evidence.run is not None and any("damaged or cut off" in sentence for sentence in missing)


@pytest.mark.parametrize("place", ["job/output/data", "output/data", "data", "."])
def test_records_are_found_wherever_a_run_or_a_job_puts_them(tmp_path: Path, place: str) -> None:
    source = records(write(tmp_path / "made", healthy()))
    target = tmp_path / "run" / place / "records.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    for named in (tmp_path / "run", target):
        evidence, _ = read(named)
        assert evidence.run is not None and len(evidence.run.epochs) == 10


def test_the_trials_of_a_tuning_run_are_read_beside_its_job(tmp_path: Path) -> None:
    write(tmp_path / "run" / "job", healthy())
    trials = tmp_path / "run" / "trials"
    trials.mkdir()
    listed = [
        {
            "trial": 2,
            "hyperparameters": {"lr": "0.01"},
            "validation_accuracy": 0.9,
            "validation_loss": 0.3,
            "seconds": 4.0,
        },
        {
            "trial": 1,
            "hyperparameters": {"lr": "0.1"},
            "validation_accuracy": 0.5,
            "validation_loss": 1.3,
            "seconds": 5.0,
        },
    ]
    (trials / "tuning.json").write_text(json.dumps(listed))
    evidence, _ = read(tmp_path / "run")
    assert evidence.run is not None
    assert [(one.number, one.hyperparameters, one.accuracy) for one in evidence.run.trials] == [
        (1, {"lr": 0.1}, 0.5),
        (2, {"lr": 0.01}, 0.9),
    ]


def test_of_a_tuning_run_alone_the_best_trial_is_shown(tmp_path: Path) -> None:
    for number, loss in ((1, 2.0), (2, 1.0)):
        write(tmp_path / f"{number:03d}", [job(), epoch(1, loss, loss), *judged("validation", [[3, 0, 0]] * 3), done()])
    none: dict[str, str] = {}
    listed = [{"trial": number, "hyperparameters": none, "validation_accuracy": 0.5} for number in (2, 1)]
    (tmp_path / "tuning.json").write_text(json.dumps(listed))
    evidence, _ = read(tmp_path)
    assert evidence.run is not None and evidence.run.epochs[0].train_loss == 1.0


def test_a_damaged_list_of_trials_is_named(tmp_path: Path) -> None:
    write(tmp_path / "job", healthy())
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "tuning.json").write_text('{"trials": ')
    _, missing = read(tmp_path)
    assert any("does not hold a list of trials" in sentence for sentence in missing)


def test_a_folder_of_anything_else_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(DataError, match="holds no records of a run"):
        read(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "nowhere")


@needs_torch
def test_an_artifact_alone_gives_its_result_and_settings(trained: Run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_bytes((trained.base / "model" / "model.json").read_bytes())
    evidence, missing = read(tmp_path)
    assert evidence.run is not None and evidence.run.job is not None
    accuracies = {split.name: split.result.accuracy for split in evidence.run.splits if split.result}
    assert accuracies["test"] == trained.record("result", split="test")["accuracy"]
    assert evidence.run.job.hyperparameters["lr"] == trained.record("job")["hyperparameters"]["lr"]
    assert len(evidence.run.job.classes) == len(trained.record("job")["classes"])
    assert any("The records (records.jsonl) are missing" in sentence for sentence in missing)


def test_a_model_file_of_another_program_is_refused(tmp_path: Path) -> None:
    for text in ("{}", '{"training": 3}', "[1]", "{"):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(DataError, match="holds no records of a run"):
            read(tmp_path)


def packed(archive: Path, source: Path, name: str) -> Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as opened:
        opened.add(source, name)
    return archive


@pytest.mark.parametrize("place", ["output/output.tar.gz", "output.tar.gz"])
def test_the_archive_of_a_sagemaker_job_is_read_where_it_is(tmp_path: Path, place: str) -> None:
    archive = packed(tmp_path / "job" / place, records(write(tmp_path / "made", healthy())), "data/records.jsonl")
    for named in (tmp_path / "job", archive):
        evidence, missing = read(named)
        assert evidence.run is not None and len(evidence.run.epochs) == 10 and missing == ()
    assert [path for path in (tmp_path / "job").rglob("*") if path.is_file()] == [archive]


def test_a_job_that_was_synced_from_s3_gives_its_records_and_its_profiler_output(tmp_path: Path) -> None:
    packed(tmp_path / "job" / "output" / "output.tar.gz", records(write(tmp_path / "made", healthy())), "records.jsonl")
    metrics(tmp_path / "job", [50] * 30, [50] * 30)
    evidence, _ = read(tmp_path / "job")
    assert evidence.run is not None and evidence.run.finished
    assert evidence.profile is not None and len(evidence.profile.series) == 7


def test_an_archive_that_was_cut_off_says_so(tmp_path: Path) -> None:
    noise = [record("weather", rain=os.urandom(500).hex()) for _ in range(400)]
    archive = packed(
        tmp_path / "output.tar.gz", records(write(tmp_path / "made", [*healthy(), *noise])), "records.jsonl"
    )
    archive.write_bytes(archive.read_bytes()[:-20_000])
    evidence, missing = read(archive)
    assert evidence.run is not None and any("could only be read in part" in sentence for sentence in missing)


def test_an_archive_without_records_is_refused_unless_it_holds_a_model(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello")
    with pytest.raises(DataError, match="holds no records of a run"):
        read(packed(tmp_path / "output.tar.gz", tmp_path / "note", "note"))
    (tmp_path / "model.json").write_text('{"training": {"metrics": {"test": {"accuracy": 0.5, "count": 4}}}}')
    evidence, _ = read(packed(tmp_path / "model.tar.gz", tmp_path / "model.json", "model.json"))
    assert evidence.run is not None and evidence.run.splits[0].result is not None


def test_a_label_with_a_line_separator_stays_one_record(tmp_path: Path) -> None:
    path = records(write(tmp_path, []))
    path.write_text(json.dumps(job(classes=["a\u2028b"]), ensure_ascii=False) + "\n")
    run = read_records(path)
    assert run.job is not None and run.job.classes == ("a\u2028b",)
