"""The search for a head: one job tries many configurations of the head on the same features."""

import contextlib
import copy
import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import nn

from classifier.errors import ConfigError
from classifier.progress import Progress
from train.config import Config, suggest
from train.features import Features
from train.head.stage import as_it_is, head_stage
from train.loop.engine import fit
from train.loop.stage import Best
from train.processes.world import World, local_threads
from train.report import Records

# Trials in a round: they are suggested together, then trained side by side. The number is constant, so results do not depend on the number
# of cores. The sampler's first ten suggestions do not depend on other trials anyway.
ROUND = 10

Epoch = tuple[int, Mapping[str, Any]]
Lanes = Callable[[Callable[[Config], "_Tried"], Sequence[Config]], Iterator["_Tried"]]  # as map()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The best trial of a search: its hyperparameters, its best model, and the number and metrics of each of its epochs."""

    config: Config
    best: Best
    epochs: list[Epoch]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """The facts about one trial for the records and the log: its best epoch and that epoch's score, or why it failed."""

    number: int
    total: str  # the number of all trials
    hyperparameters: Mapping[str, Any]  # the trial's hyperparameters
    epoch: int | None
    score: tuple[float, float] | None  # as in Best
    seconds: float
    failure: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tried:
    """The outcome of a trial: `found`, or the reason why it failed."""

    found: Found | None
    seconds: float
    stopped: bool  # whether SIGTERM stopped the trial before its end
    failure: str = ""


def search(
    head: nn.Module,
    splits: Mapping[str, Features],
    config: Config,
    names: Sequence[str],
    records: Records,
    world: World,
) -> Found:
    """Try `config.search_trials` configurations, give the head the best trial's weights, and return that trial.

    Only the hyperparameters in `names` vary. The best trial has the highest validation accuracy, then the lowest loss, then
    the lowest number. Every trial starts from the head as it is and from the same random numbers, as a job with its
    hyperparameters would, and writes a record and a line. The best trial is not trained again: this would take time, and the model would
    differ slightly, because threads change the order of sums. A trial whose loss is no longer a number fails, and the others continue;
    raises ConfigError if all fail.

    The trials of a round run side by side, one on each core. After SIGTERM only the finished trials are compared.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))
    won: Found | None = None
    kept, failure = 0, ""

    def tried(chosen: Mapping[str, Any]) -> Config:
        return dataclasses.replace(config, **{name.replace("-", "_"): value for name, value in chosen.items()})

    with Progress("search", config.search_trials, "trials") as progress, _lanes(config, world) as lanes:
        for first in range(1, config.search_trials + 1, ROUND):
            numbers = range(first, min(first + ROUND, config.search_trials + 1))
            suggestions = [study.ask() for _ in numbers]
            choices = [suggest(suggestion, names) for suggestion in suggestions]
            results = lanes(lambda one: _try(head, splits, one, world), list(map(tried, choices)))
            for number, suggestion, chosen, result in zip(numbers, suggestions, choices, results, strict=True):
                found, failure = result.found, result.failure
                if result.stopped:
                    if won is None:  # keep the unfinished trial's model, because there is no better one
                        won, kept = found, number
                    continue
                best = found.best if found else None
                study.tell(suggestion, best and best.score[0], state=None if best else optuna.trial.TrialState.FAIL)
                trial = Trial(
                    number=number,
                    total=str(config.search_trials),
                    hyperparameters=chosen,
                    epoch=best.epoch if best else None,
                    score=best.score if best else None,
                    seconds=result.seconds,
                    failure=failure,
                )
                write_trial(trial, records)
                if found and (won is None or found.best.score > won.best.score):
                    won, kept = found, number
                progress.advance()
            if world.stopped():
                break
    if won is None:
        raise ConfigError(f"all {config.search_trials} trials of the search failed; the last one: {failure}")
    head.load_state_dict(won.best.model)
    print(f"kept trial {kept}", flush=True)
    return won


@contextlib.contextmanager
def _lanes(config: Config, world: World) -> Generator[Lanes, None, None]:
    """Give a map() over trials: a thread for each core, where each trial computes alone, or one trial after the other.

    Threads that compute one trial together wait for one another in each of its thousands of steps: on two cores that others use
    too, 20 trials took 55 s on two threads and 7 s on one. Computing all heads of one batch size as one matrix product took 0.9 of the
    processor's time, but it would need a second training loop, which could train only heads without hidden layers. In two cases the trials
    run one after the other: dropout, which draws from the process's only random generator, and several processes, which must add up their
    gradients in the same order.
    """
    threads = torch.get_num_threads()
    lanes = 1 if config.dropout or world.size > 1 else min(local_threads(), ROUND)
    with ThreadPoolExecutor(lanes, initializer=lambda: torch.set_num_threads(1)) as pool:
        try:
            yield pool.map
        finally:
            # Trap: set_num_threads(1) in a lane also reaches the libraries below torch, and there it counts for all threads.
            torch.set_num_threads(threads)


def _try(head: nn.Module, splits: Mapping[str, Features], config: Config, world: World) -> _Tried:
    started = time.perf_counter()
    head, epochs = copy.deepcopy(head), list[Epoch]()
    found, failure = None, ""
    try:
        stage = head_stage(head, splits["train"], splits["validation"], config, world)
        best = fit(stage, lambda *epoch: epochs.append(epoch)) or as_it_is(head, splits["validation"], world)
        found = Found(config=config, best=best, epochs=epochs)
    except ConfigError as error:
        failure = str(error)
    seconds = time.perf_counter() - started
    return _Tried(found=found, seconds=seconds, stopped=world.stopped(), failure=failure)


def write_trial(trial: Trial, records: Records) -> None:
    """Write a trial's record and its line."""
    accuracy, loss = (trial.score[0], -trial.score[1]) if trial.score else (None, None)
    records.write(
        "trial",
        number=trial.number,
        hyperparameters=trial.hyperparameters,
        validation_loss=loss,
        validation_accuracy=accuracy,
        best_epoch=trial.epoch,
        seconds=trial.seconds,
        **({"reason": trial.failure} if trial.failure else {}),
    )
    settings = ", ".join(f"{name} {value:g}" for name, value in trial.hyperparameters.items())
    # METRIC_DEFINITIONS must not match this line: SageMaker reads the metrics of the best trial's epochs only.
    outcome = trial.failure or f"validation accuracy {accuracy:.4f}, loss {loss:.4f} after epoch {trial.epoch}"
    print(f"trial {trial.number} of {trial.total}: {settings}; {outcome}; {trial.seconds:.2f} s", flush=True)
