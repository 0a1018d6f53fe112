"""Head search: many configurations of the head inside one job, over the same features."""

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
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
class _Trial:
    """A configuration and what became of it; without accuracy and loss when it failed."""

    config: Config
    best: Best | None
    epochs: list[Epoch]
    seconds: float
    failure: str


def search(
    head: nn.Module,
    train: Features,
    validation: Features,
    config: Config,
    names: Sequence[str],
    records: Records,
    on_epoch: Callable[[int, Mapping[str, Any]], None],
    *,
    world: World,
) -> tuple[Config, Best]:
    """Try `config.search_trials` configurations, leave the head as the best one's, and return that one and its best.

    Only the hyperparameters in `names` vary. Best is the highest validation accuracy, then the lowest loss, then the
    first. Every trial starts from the head as it is and from the same random numbers, as a job with its hyperparameters
    would, and writes a record and a line. `on_epoch` then gets the best trial's epochs as they were: training it again
    would cost time and, as threads add up sums in another order, end in another model than the one that won. A trial
    whose loss is no longer a number fails alone; raises ConfigError when all do.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))
    won: _Trial | None = None
    kept, failure = 0, ""
    with Progress("search", config.search_trials, "trials") as progress:
        for number in range(1, config.search_trials + 1):
            asked = study.ask()
            chosen = suggest(asked, names)
            tried = dataclasses.replace(config, **{name.replace("-", "_"): value for name, value in chosen.items()})
            trial = _try(head, train, validation, tried, world)
            if world.stopped():
                if won is None:  # what the trial under way has learnt so far is the best there is
                    won, kept = trial, number
                break
            accuracy = trial.best.score[0] if trial.best else None
            study.tell(asked, accuracy, state=None if trial.best else optuna.trial.TrialState.FAIL)
            _report(trial, number, chosen, records)
            failure = trial.failure
            if trial.best and (won is None or won.best is None or trial.best.score > won.best.score):
                won, kept = trial, number
            progress.advance()
    if won is None or won.best is None:
        raise ConfigError(f"all {config.search_trials} trials of the search failed; the last one: {failure}")
    head.load_state_dict(won.best.model)
    print(f"kept trial {kept}", flush=True)
    for epoch in won.epochs:
        on_epoch(*epoch)
    return won.config, won.best


def _try(head: nn.Module, train: Features, validation: Features, config: Config, world: World) -> _Trial:
    started = time.perf_counter()
    head, epochs = copy.deepcopy(head), list[Epoch]()
    best, failure = None, ""
    try:
        stage = head_stage(head, train, validation, config, world)
        best = fit(stage, config.seed, lambda *epoch: epochs.append(epoch), world=world) or as_it_is(
            head, validation, world
        )
    except ConfigError as error:
        failure = str(error)
    return _Trial(config=config, best=best, epochs=epochs, seconds=time.perf_counter() - started, failure=failure)


def _report(trial: _Trial, number: int, chosen: Mapping[str, Any], records: Records) -> None:
    records.write(
        "trial",
        number=number,
        hyperparameters=chosen,
        validation_loss=-trial.best.score[1] if trial.best else None,
        validation_accuracy=trial.best.score[0] if trial.best else None,
        best_epoch=trial.best.epoch if trial.best else None,
        seconds=trial.seconds,
        **({"reason": trial.failure} if trial.failure else {}),
    )
    settings = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
    # METRIC_DEFINITIONS must not read this line: the objective is printed for the best trial's epochs alone.
    outcome = trial.failure
    if trial.best:
        accuracy, loss = trial.best.score[0], -trial.best.score[1]
        outcome = f"validation accuracy {accuracy:.4f}, loss {loss:.4f} after epoch {trial.best.epoch}"
    print(f"trial {number} of {trial.config.search_trials}: {settings}; {outcome}; {trial.seconds:.2f} s", flush=True)
