"""The search for a head: one job tries many configurations of the head on the same features."""

import copy
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from classifier.errors import ConfigError
from classifier.progress import Progress
from train.config import Config, suggest
from train.features import Features
from train.head import as_it_is, head_stage
from train.loop.engine import fit
from train.loop.stage import Best
from train.processes.world import World
from train.report import Records

Epoch = tuple[int, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The best trial of a search: its hyperparameters, its best model, and the number and metrics of each of its epochs."""

    config: Config
    best: Best
    epochs: list[Epoch]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Trial:
    """A configuration and its result: `found`, or the reason why it failed."""

    config: Config
    found: Found | None
    seconds: float
    failure: str = ""


def search(
    head: nn.Module,
    splits: Mapping[str, Features],
    config: Config,
    names: Sequence[str],
    records: Records,
    world: World,
) -> Found:
    """Try `config.search_trials` configurations, leave the head as the best one's, and return that one.

    Only the hyperparameters in `names` vary. The best trial has the highest validation accuracy, then the lowest loss, then
    the lowest number. Every trial starts from the head as it is and from the same random numbers, as a job with its
    hyperparameters would, and writes a record and a line. The best trial is not trained again: that would cost time, and as
    threads add up sums in another order, it would end in another model than the one that won. A trial whose loss is no
    longer a number fails alone; raises ConfigError when all do.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))
    won: Found | None = None
    kept, failure = 0, ""
    with Progress("search", config.search_trials, "trials") as progress:
        for number in range(1, config.search_trials + 1):
            suggestion = study.ask()
            chosen = suggest(suggestion, names)
            tried = dataclasses.replace(config, **{name.replace("-", "_"): value for name, value in chosen.items()})
            trial = _try(head, splits, tried, world)
            if world.stopped():
                if won is None:  # keep what the current trial has learnt so far, because there is nothing better
                    won, kept, failure = trial.found, number, trial.failure
                break
            accuracy = trial.found.best.score[0] if trial.found else None
            study.tell(suggestion, accuracy, state=None if trial.found else optuna.trial.TrialState.FAIL)
            _report(trial, number, chosen, records)
            failure = trial.failure
            if trial.found and (won is None or trial.found.best.score > won.best.score):
                won, kept = trial.found, number
            progress.advance()
    if won is None:
        raise ConfigError(f"all {config.search_trials} trials of the search failed; the last one: {failure}")
    head.load_state_dict(won.best.model)
    print(f"kept trial {kept}", flush=True)
    return won


def _try(head: nn.Module, splits: Mapping[str, Features], config: Config, world: World) -> _Trial:
    started = time.perf_counter()
    head, epochs = copy.deepcopy(head), list[Epoch]()
    found, failure = None, ""
    try:
        stage = head_stage(head, splits["train"], splits["validation"], config, world)
        best = fit(stage, lambda *epoch: epochs.append(epoch)) or as_it_is(head, splits["validation"], world)
        found = Found(config=config, best=best, epochs=epochs)
    except ConfigError as error:
        failure = str(error)
    return _Trial(config=config, found=found, seconds=time.perf_counter() - started, failure=failure)


def _report(trial: _Trial, number: int, chosen: Mapping[str, Any], records: Records) -> None:
    best = trial.found.best if trial.found else None
    records.write(
        "trial",
        number=number,
        hyperparameters=chosen,
        validation_loss=-best.score[1] if best else None,
        validation_accuracy=best.score[0] if best else None,
        best_epoch=best.epoch if best else None,
        seconds=trial.seconds,
        **({"reason": trial.failure} if trial.failure else {}),
    )
    settings = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
    # METRIC_DEFINITIONS must not match this line: SageMaker reads the metrics of the best trial's epochs only.
    outcome = trial.failure
    if best:
        accuracy, loss = best.score[0], -best.score[1]
        outcome = f"validation accuracy {accuracy:.4f}, loss {loss:.4f} after epoch {best.epoch}"
    print(f"trial {number} of {trial.config.search_trials}: {settings}; {outcome}; {trial.seconds:.2f} s", flush=True)
