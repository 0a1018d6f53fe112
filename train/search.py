"""Head search: many configurations of the head inside one job, over the same features."""

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from classifier.errors import ConfigError
from classifier.progress import Progress
from train import stop
from train.config import Config, suggest
from train.engine import fit
from train.features import Features
from train.records import Records

Epoch = tuple[int, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Trial:
    """A configuration and what became of it; without accuracy and loss when it failed."""

    config: Config
    best_epoch: int
    accuracy: float | None
    loss: float | None
    epochs: list[Epoch]
    state: dict[str, Tensor]
    seconds: float
    failure: str

    @property
    def rank(self) -> tuple[float, float]:
        return (self.accuracy or 0.0), -(self.loss or 0.0)


def search(
    head: nn.Module,
    train: Features,
    validation: Features,
    config: Config,
    names: Sequence[str],
    records: Records,
    on_epoch: Callable[[int, Mapping[str, Any]], None],
) -> tuple[Config, int]:
    """Try `config.search_trials` configurations, leave the head as the best one's, and return that one and its best epoch.

    Only the hyperparameters in `names` vary. Best is the highest validation accuracy, then the lowest loss, then the
    first. Every trial starts from the head as it is and from the same random numbers, as a job with its hyperparameters
    would, and writes a record and a line. `on_epoch` then gets the best trial's epochs as they were: training it again
    would cost time and, as threads add up sums in another order, end in another model than the one that won. A trial
    whose loss is no longer a number fails alone; raises ConfigError when all do.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))
    best: _Trial | None = None
    kept, failure = 0, ""
    with Progress("search", config.search_trials, "trials") as progress:
        for number in range(1, config.search_trials + 1):
            asked = study.ask()
            chosen = suggest(asked, names)
            tried = dataclasses.replace(config, **{name.replace("-", "_"): value for name, value in chosen.items()})
            trial = _try(head, train, validation, tried)
            if stop.requested.is_set():
                if best is None:  # what the trial under way has learnt so far is the best there is
                    best, kept = trial, number
                break
            study.tell(asked, trial.accuracy, state=optuna.trial.TrialState.FAIL if trial.failure else None)
            _report(trial, number, chosen, records)
            failure = trial.failure
            if not failure and (best is None or trial.rank > best.rank):
                best, kept = trial, number
            progress.advance()
    if best is None:
        raise ConfigError(f"all {config.search_trials} trials of the search failed; the last one: {failure}")
    head.load_state_dict(best.state)
    print(f"kept trial {kept}", flush=True)
    for epoch in best.epochs:
        on_epoch(*epoch)
    return best.config, best.best_epoch


def _try(head: nn.Module, train: Features, validation: Features, config: Config) -> _Trial:
    started = time.perf_counter()
    head, epochs = copy.deepcopy(head), list[Epoch]()
    best_epoch, failure = None, ""
    with torch.random.fork_rng(devices=[]):
        try:
            best_epoch = fit(head, train, validation, config, lambda *epoch: epochs.append(epoch))
        except ConfigError as error:
            failure = str(error)
    metrics = epochs[best_epoch - 1][1] if best_epoch else {}
    return _Trial(
        config=config,
        best_epoch=best_epoch or 0,
        accuracy=metrics.get("validation:accuracy"),
        loss=metrics.get("validation:loss"),
        epochs=epochs,
        state=head.state_dict(),
        seconds=time.perf_counter() - started,
        failure=failure,
    )


def _report(trial: _Trial, number: int, chosen: Mapping[str, Any], records: Records) -> None:
    records.write(
        "trial",
        number=number,
        hyperparameters=chosen,
        validation_loss=trial.loss,
        validation_accuracy=trial.accuracy,
        best_epoch=trial.best_epoch or None,
        seconds=trial.seconds,
        **({"reason": trial.failure} if trial.failure else {}),
    )
    settings = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
    # METRIC_DEFINITIONS must not read this line: the objective is printed for the best trial's epochs alone.
    outcome = (
        trial.failure
        or f"validation accuracy {trial.accuracy:.4f}, loss {trial.loss:.4f} after epoch {trial.best_epoch}"
    )
    print(f"trial {number} of {trial.config.search_trials}: {settings}; {outcome}; {trial.seconds:.2f} s", flush=True)
