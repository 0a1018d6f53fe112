"""The job itself, in one process or several: build the model, pass the photos, train in two stages, judge and write."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from classifier.backends import Backend, named
from classifier.names import one_line
from classifier.photos import PhotoSet
from train import stop
from train.config import LBFGS, TUNING_RANGES, Config, searched
from train.contract import Job, warm_pool
from train.features import Features
from train.finetune import finetune_stage, predict_photos
from train.finish import Outcome, finish
from train.head.optimum import optimum
from train.head.search import Found, search
from train.head.stage import as_it_is, head_stage, predict
from train.loop.checkpoint import Checkpoints, Saved
from train.loop.engine import copied, fit
from train.loop.stage import Best, State
from train.processes.world import World, device
from train.report.photos import write_photos
from train.setup import Setup, set_up

SELFTEST_PHOTOS = 16
Splits = Mapping[str, Features]


def run(
    job: Job, config: Config, photos: PhotoSet, feature_cache: Path | None, world: World, started: float
) -> dict[str, float]:
    """Run a job and return the seconds that its parts took; `started` is the time.perf_counter() at which it began."""
    laps = _Laps()
    setup = set_up(job, config, photos, world)
    laps.end("model")
    try:
        _train(setup, photos, feature_cache, laps)
    finally:
        setup.report.stop()
    seconds = laps.seconds | {"total": time.perf_counter() - started}
    setup.report.close(seconds)
    return seconds


def _train(setup: Setup, photos: PhotoSet, feature_cache: Path | None, laps: "_Laps") -> None:
    """Do the parts of a job that follow its set-up."""
    splits, backend = _pass_photos(setup, photos, feature_cache)
    checkpoints = _open_checkpoints(setup, photos, splits)
    laps.end("features")
    resumed = _resumed(checkpoints)
    config, best = _train_head(setup, splits, checkpoints, resumed)
    outcome = Outcome(stage="head", epoch=best.epoch, outputs=_outputs_of_head(setup, splits), backend=backend)
    laps.end("head")
    if config.finetune_epochs and not setup.world.stopped():
        outcome = _finetune(setup, splits, best, checkpoints, resumed) or outcome
        laps.end("finetune")
    if setup.world.chief:
        finish(setup, config, outcome, splits["validation"])
    laps.end("artifact")
    if not (setup.job.is_trial or setup.world.stopped()):
        write_photos(setup, splits, outcome)
        laps.end("photos")


class _Laps:
    """Measures the times of a job's parts, each from the end of the previous part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mark = time.perf_counter()

    def end(self, name: str) -> None:
        """End the current part, and give it its name."""
        self.seconds[name], self._mark = time.perf_counter() - self._mark, time.perf_counter()


def _pass_photos(setup: Setup, photos: PhotoSet, feature_cache: Path | None) -> tuple[Splits, Backend]:
    """Pass all photos through the frozen backbone; return the splits' features and the backend that computed the features.

    Unreadable photos are reported.
    """
    # The folder of a warm pool still exists for the pool's next job. Without a warm pool, the checkpoints' folder still exists
    # after a spot interruption.
    kept = warm_pool() or setup.job.places.checkpoints
    cache, views = feature_cache or (kept / "features" if kept else None), setup.config.views
    chosen = setup.feature_pass.choose(photos, cache=cache, views=views)
    print(chosen, flush=True)
    setup.report.records.write(
        "backend",
        stage="features",
        backend=chosen.backend.name,
        reason=chosen.reason,
        probe=chosen.probe and vars(chosen.probe),
    )
    splits, unreadable = dataclasses.replace(setup.feature_pass, forward=chosen.forward).extract(
        photos,
        cache=cache,
        max_unreadable=setup.config.max_unreadable,
        views=views,
        sample=SELFTEST_PHOTOS,
    )
    for item in unreadable:
        path = one_line(item.path)
        setup.report.records.write("unreadable", path=path, reason=item.reason)
        print(f"left out {path}: {item.reason}", flush=True)
    return splits, chosen.backend


def _open_checkpoints(setup: Setup, photos: PhotoSet, splits: Splits) -> Checkpoints | None:
    """Return the job's checkpoints, None if the chief keeps none."""
    folder = setup.world.broadcast(setup.job.places.checkpoints)
    if not folder:
        return None
    same = {
        "hyperparameters": setup.config.to_json(),
        "classes": photos.classes,
        "photos": {name: split.fingerprint for name, split in splits.items() if name != "test"},
    }
    return Checkpoints(folder, same, setup.config.checkpoint_seconds, setup.world)


def _resumed(checkpoints: Checkpoints | None) -> Saved | None:
    """Return the checkpoint to continue from, or None to start from the beginning."""
    if not checkpoints:
        return None
    resumed = checkpoints.load()
    if resumed and resumed.stage != "head" and not checkpoints.load_best("head"):
        print("the head that fine-tuning began with is lost, so training starts from the beginning", flush=True)
        checkpoints.discard()
        return None
    return resumed


def _train_head(
    setup: Setup, splits: Splits, checkpoints: Checkpoints | None, resumed: Saved | None
) -> tuple[Config, Best]:
    """Train the head on the features, or continue its training, and leave it with the weights of its best epoch.

    Returns that epoch's model, and the hyperparameters, including those that a search has chosen.
    """
    config, world, head = setup.config, setup.world, setup.start.model.cpu().head
    kept = checkpoints.load_best("head") if checkpoints else None
    if checkpoints and kept and kept.finished is not None:
        _replay(setup, checkpoints, resumed.epochs if resumed and resumed.stage != "head" else kept.epochs)
        head.load_state_dict(kept.best.model)
        print(f"the head is kept from before, as it was after epoch {kept.best.epoch}", flush=True)
        return dataclasses.replace(config, **kept.finished), kept.best

    won: Found | None = None
    if config.optimizer == LBFGS:
        stage = head_stage(head, splits["train"], splits["validation"], config, world)
        won = optimum(stage, splits["train"], config, setup.report.records, checkpoints, resumed)
    elif config.search_trials:
        names = searched(setup.job.hyperparameters)
        won = search(head, splits, config, names, setup.report.records, world)
    if won:
        config, best = won.config, won.best
        for number, metrics in won.epochs:
            setup.report.epoch("head", number, metrics)
    else:
        if checkpoints and resumed:
            _replay(setup, checkpoints, resumed.epochs)
        stage = head_stage(head, splits["train"], splits["validation"], config, world)
        found = fit(
            stage,
            lambda epoch, metrics: setup.report.epoch("head", epoch, metrics),
            checkpoints=checkpoints,
            monitor=setup.report.monitor,
            state=resumed.restore(stage) if resumed else State(),
            best=kept.best if kept and resumed else None,
        )
        best = found or as_it_is(head, splits["validation"], world)
    if checkpoints and not world.stopped():
        # The hyperparameters that a search may have chosen.
        names = [name.replace("-", "_") for name in (*TUNING_RANGES, "weight-decay")]
        checkpoints.save_best("head", best, {name: getattr(config, name) for name in names})
    return config, best


def _outputs_of_head(setup: Setup, splits: Splits) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the trained head's logits and labels on all splits but train."""
    head = setup.start.model.head
    return {
        name: (predict(head, split, setup.world), split.labels) for name, split in splits.items() if name != "train"
    }


def _replay(setup: Setup, checkpoints: Checkpoints, epochs: list[dict[str, Any]]) -> None:
    """Record the epochs before an interruption again, because outputs are lost with the machine."""
    checkpoints.epochs = list(epochs)
    for epoch in epochs:
        setup.report.epoch(epoch["stage"], epoch["epoch"], epoch["metrics"], again=True)


def _finetune(
    setup: Setup, splits: Splits, head: Best, checkpoints: Checkpoints | None, resumed: Saved | None
) -> Outcome | None:
    """Fine-tune the whole model from the trained head, or continue to; returns None if the model without fine-tuning is better."""
    config, report = setup.config, setup.report
    setup.start.model.to(device())
    # Views are only for the head.
    photos = splits["train"].photos[: len(splits["train"].photos) // (1 + config.views)]
    stage = finetune_stage(setup.feature_pass, photos, splits["validation"].photos, config, setup.start.auxiliary)
    best = Best(epoch=0, score=head.score, model=copied(stage.model), logits=head.logits)
    state = State()
    if checkpoints and resumed and resumed.stage == stage.name:
        state = resumed.restore(stage)
        kept = checkpoints.load_best(stage.name)
        best = kept.best if kept else best
    if report.monitor.hook:
        report.monitor.hook.attach(stage.model)
    found = fit(
        stage,
        lambda epoch, metrics: report.epoch(stage.name, epoch, metrics),
        checkpoints=checkpoints,
        monitor=report.monitor,
        state=state,
        best=best,
    )
    assert found is not None  # fine-tuning had to beat the head's model
    if not found.epoch:
        print("no epoch of fine-tuning was better on validation than the head alone, whose model is kept", flush=True)
        return None
    backend = named("torch", device().type, setup.feature_pass.precision)
    return Outcome(stage="finetune", epoch=found.epoch, outputs=_outputs(setup, splits, found), backend=backend)


def _outputs(setup: Setup, splits: Splits, best: Best) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the fine-tuned model's logits and labels on validation, and on test unless SIGTERM leaves no time for it."""
    assert best.logits is not None
    outputs = {"validation": (best.logits, splits["validation"].labels)}
    try:
        if "test" in splits and not setup.world.stopped():
            outputs["test"] = predict_photos(setup.feature_pass, splits["test"].photos, "test")
    except stop.Stopped:
        print("stopped before the test photos were judged", flush=True)
    return outputs
