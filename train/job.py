"""The job itself, in one process or several: build the model, pass the photos, train in two stages, judge and write."""

import dataclasses
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from classifier import __version__
from classifier.models import Classifier
from classifier.names import one_line
from classifier.photos import PhotoSet
from classifier.spec import ModelSpec
from train import stop
from train.build import build_start
from train.checkpoint import Checkpoints, restore
from train.config import TUNING_RANGES, Config, metric_line, searched
from train.contract import Job, warm_pool
from train.features import FeaturePass, Features
from train.finetune import finetune_stage, predict_photos
from train.finish import finish, versions
from train.foreign_names import check_size
from train.head import as_it_is, head_stage, predict
from train.loop.engine import copied, fit
from train.loop.stage import Best, State
from train.precision import resolve_precision
from train.processes.world import World, device, local_threads
from train.report.board import Board
from train.report.hooks import Hook, open_hook
from train.report.records import Records
from train.search import search
from train.spool.pack import Pack

SELFTEST_PHOTOS = 16


@dataclasses.dataclass
class _Job:
    """What the steps of a job share."""

    job: Job
    config: Config
    feature_pass: FeaturePass
    spec: ModelSpec
    records: Records
    board: Board
    hook: Hook | None
    checkpoints: Checkpoints | None = None
    epochs: int = 0  # that are done, of both stages

    def on_epoch(self, stage: str, epoch: int, metrics: Mapping[str, Any], *, again: bool = False) -> None:
        """Record an epoch and print its line; one from before an interruption (`again`) was printed then."""
        self.epochs += 1
        values = {name.replace(":", "_"): value for name, value in metrics.items()}
        self.records.write("epoch", stage=stage, epoch=epoch, **values)
        self.board.epoch(stage, epoch, metrics)
        if not again:
            print(metric_line(self.epochs, metrics), flush=True)

    @property
    def model(self) -> Classifier:
        return self.feature_pass.model

    @property
    def world(self) -> World:
        return self.feature_pass.world

    def stopped(self) -> bool:
        """Return whether any process was asked to stop; then all are."""
        (stopped,) = self.world.any(stop.requested.is_set())
        if stopped:
            stop.requested.set()
        return stopped


def run(
    job: Job, config: Config, photos: PhotoSet, feature_cache: Path | None, world: World, started: float
) -> dict[str, float]:
    """Run the job and return the seconds that its parts took; `started` is the time.perf_counter() of its start."""
    torch.set_num_threads(local_threads())
    torch.manual_seed(config.seed)
    seconds, mark = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal mark
        seconds[name], mark = time.perf_counter() - mark, time.perf_counter()

    records = Records(job.output_data_dir if world.chief else None)
    records.write(
        "job",
        program=__version__,
        libraries=versions(),
        hyperparameters=config.to_json(),
        classes=photos.classes,
        photos={name: len(split) for name, split in photos.splits.items()},
        notes=photos.notes,
        processes=world.size,
    )
    start = build_start(job, config, photos.classes)
    check_size(job.hyperparameters, start.config.backbone, start.spec.preprocessing.crop)
    shared = _Job(
        job=job,
        config=start.config,
        feature_pass=FeaturePass(
            model=start.model.to(device()),
            precision=resolve_precision(config.precision),
            pack=Pack() if job.fast_file and config.finetune_epochs else None,
            world=world,
        ),
        spec=start.spec,
        records=records,
        board=Board(job.places.tensorboard if world.chief else None),
        hook=open_hook(job.base) if world.chief else None,
    )
    print(
        f"{start.config.backbone} with weights from {start.source}; {shared.feature_pass.precision} on {device()}, "
        f"{local_threads()} threads" + (f" in each of {world.size} processes" if world.size > 1 else ""),
        flush=True,
    )
    lap("model")
    splits = _features(shared, photos, feature_cache)
    lap("features")
    resumed = _resumed(shared)
    best = _head(shared, splits, resumed)
    outputs = {
        name: (predict(shared.model.head, split, world), split.labels)
        for name, split in splits.items()
        if name != "train"
    }
    kept = {"stage": "head", "best_epoch": best.epoch}
    lap("head")
    if shared.config.finetune_epochs and not shared.stopped():
        tuned = _finetune(shared, splits, best, resumed, start.auxiliary)
        if tuned.epoch:
            outputs = _outputs(shared, splits, tuned)
            kept = {"stage": "finetune", "best_epoch": tuned.epoch}
        else:
            print(
                "no epoch of fine-tuning was better on validation than the head alone, whose model is kept", flush=True
            )
        lap("finetune")
    if world.chief:
        finish(
            job,
            shared.model,
            shared.spec,
            shared.config,
            outputs=outputs,
            kept=kept,
            source=start.source,
            selftest=splits["validation"].sample,
            records=records,
        )
    lap("artifact")
    seconds["total"] = time.perf_counter() - started
    # ru_maxrss is in KiB on Linux.
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    records.write("done", seconds=seconds, peak_memory_bytes=peak)
    records.close()
    shared.board.close()
    if shared.hook:
        shared.hook.close()
    return seconds


def _features(shared: _Job, photos: PhotoSet, feature_cache: Path | None) -> dict[str, Features]:
    """Pass all photos through the frozen backbone and return the splits' features."""
    folder = shared.job.places.checkpoints
    # A warm pool's folder lives on to the next job. Checkpoints survive a spot interruption, which a job with a pool does not
    # have, so what the feature pass did survives with them.
    kept = warm_pool() or folder
    cache = feature_cache or (kept / "features" if kept else None)
    splits, unreadable = shared.feature_pass.extract(
        photos,
        cache=cache,
        max_unreadable=shared.config.max_unreadable,
        views=shared.config.views,
        sample=SELFTEST_PHOTOS,
    )
    for item in unreadable:
        path = one_line(item.path)
        shared.records.write("unreadable", path=path, reason=item.reason)
        print(f"left out {path}: {item.reason}", flush=True)
    folder = shared.world.broadcast(folder)
    if folder:
        job = {
            "hyperparameters": shared.config.to_json(),
            "classes": photos.classes,
            "photos": {name: split.fingerprint for name, split in splits.items() if name != "test"},
        }
        shared.checkpoints = Checkpoints(folder, job, shared.config.checkpoint_seconds, shared.world)
    return splits


def _resumed(shared: _Job) -> dict[str, Any] | None:
    """Return the content of the checkpoint to go on from, or None to start anew."""
    if not shared.checkpoints:
        return None
    resumed = shared.checkpoints.load()
    if resumed and resumed["stage"] != "head" and not shared.checkpoints.load_best("head"):
        print("the head that fine-tuning began with is lost, so training starts anew", flush=True)
        shared.checkpoints.discard()
        return None
    return resumed


def _head(shared: _Job, splits: Mapping[str, Features], resumed: Mapping[str, Any] | None) -> Best:
    """Train the head on the features, or go on with it, and leave it as the best one."""
    checkpoints, world, head = shared.checkpoints, shared.world, shared.model.cpu().head
    data = splits["train"], splits["validation"]
    kept = checkpoints.load_best("head") if checkpoints else None
    if checkpoints and resumed:
        _replay(shared, checkpoints, resumed["epochs"])
    elif checkpoints and kept and kept.finished is not None:
        _replay(shared, checkpoints, kept.epochs)
    if kept and kept.finished is not None:
        shared.config = dataclasses.replace(shared.config, **kept.finished)
        head.load_state_dict(kept.best.model)
        print(f"the head is kept from before, as it was after epoch {kept.best.epoch}", flush=True)
        return kept.best

    def on_epoch(epoch: int, metrics: Mapping[str, Any]) -> None:
        shared.on_epoch("head", epoch, metrics)

    config = shared.config
    if config.search_trials:
        names = searched(shared.job.hyperparameters)
        shared.config, best = search(head, *data, config, names, shared.records, on_epoch, world=world)
    else:
        stage = head_stage(head, *data, config, world)
        state = restore(stage, resumed) if resumed else State()
        found = fit(
            stage,
            config.seed,
            on_epoch,
            world=world,
            checkpoints=checkpoints,
            hook=shared.hook,
            state=state,
            best=kept.best if kept and resumed else None,
        )
        best = found or as_it_is(head, data[1], world)
    if checkpoints and not shared.stopped():
        # What a search may have chosen.
        names = [name.replace("-", "_") for name in TUNING_RANGES]
        changed = {name: getattr(shared.config, name) for name in names}
        checkpoints.save_best("head", best, changed)
    return best


def _replay(shared: _Job, checkpoints: Checkpoints, epochs: list[dict[str, Any]]) -> None:
    """Record the epochs from before an interruption again, since outputs are lost with the machine."""
    checkpoints.epochs = list(epochs)
    for epoch in epochs:
        shared.on_epoch(epoch["stage"], epoch["epoch"], epoch["metrics"], again=True)


def _finetune(
    shared: _Job, splits: Mapping[str, Features], head: Best, resumed: Mapping[str, Any] | None, auxiliary: Any
) -> Best:
    """Train the whole model from where the head is, or go on with it; returns the best, of epoch 0 when that is the head."""
    shared.model.to(device())
    stage = finetune_stage(
        shared.feature_pass,
        splits["train"].photos[: len(splits["train"].photos) // (1 + shared.config.views)],
        splits["validation"].photos,
        shared.config,
        auxiliary,
    )
    best = Best(0, head.score, copied(stage.model), head.logits)
    state = State()
    if shared.checkpoints and resumed and resumed["stage"] == stage.name:
        state = restore(stage, resumed)
        kept = shared.checkpoints.load_best(stage.name)
        best = kept.best if kept else best
    if shared.hook:
        shared.hook.attach(stage.model)
    found = fit(
        stage,
        shared.config.seed,
        lambda epoch, metrics: shared.on_epoch(stage.name, epoch, metrics),
        world=shared.world,
        checkpoints=shared.checkpoints,
        hook=shared.hook,
        state=state,
        best=best,
    )
    assert found is not None  # the head is there to be beaten
    return found


def _outputs(shared: _Job, splits: Mapping[str, Features], best: Best) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the fine-tuned model's logits and labels on validation, and on test unless there is no time left for it."""
    assert best.logits is not None
    outputs = {"validation": (best.logits, splits["validation"].labels)}
    try:
        if "test" in splits and not shared.stopped():
            outputs["test"] = predict_photos(shared.feature_pass, splits["test"].photos, "test")
    except stop.Stopped:
        print("stopped before the test photos were judged", flush=True)
    return outputs
