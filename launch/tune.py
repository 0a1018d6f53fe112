"""Tunes hyperparameters without SageMaker: Optuna searches the ranges that the training program declares."""

import json
import os
import shutil
import time
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from classifier.errors import ConfigError
from launch.training import Recipe, new_folder, recipe, result, terminate_running, train
from train.config import OBJECTIVE, TRIAL, nothing_left, parse, searched, suggest


def check_tuning(recipe: Recipe, trials: int) -> None:
    """Raise ConfigError if there is no trial to run or no hyperparameter left to tune."""
    if trials < 1:
        raise ConfigError(f"--trials is {trials}; it must be at least 1")
    if not searched(recipe.hyperparameters):
        raise ConfigError(
            f"{nothing_left(recipe.hyperparameters)}; leave out --set for the hyperparameters to tune, or run byoc train"
        )


def tune(folder: Path, recipe: Recipe, trials: int) -> list[dict[str, Any]]:
    """Run `trials` trials below `folder`, write tuning.json there and return the trials, best first.

    The first trial runs alone and fills the feature cache; the others then run in parallel. The best trial has the highest validation
    accuracy and, if several do, the lowest loss. The trials' artifacts are removed; records and logs stay.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=parse(recipe.hyperparameters).seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    cores = len(os.sched_getaffinity(0))
    parallel = min(cores, 4)

    def run(number: int) -> dict[str, Any]:
        trial = study.ask()
        # Hyperparameters are strings, as SageMaker passes them.
        chosen = {name: str(value) for name, value in suggest(trial, searched(recipe.hyperparameters)).items()}
        started = time.monotonic()
        base = folder / f"{number:03d}"
        threads = cores if number == 1 else max(1, cores // parallel)
        records = train(base, recipe, {**chosen, TRIAL: OBJECTIVE}, threads=threads, quiet=True, kept=False)
        shutil.rmtree(base / "model")
        judged = result(records, "validation")
        study.tell(trial, judged["accuracy"])
        seconds = time.monotonic() - started
        settings = ", ".join(f"{name} {value}" for name, value in chosen.items())
        print(
            f"trial {number} of {trials}: {settings}; {OBJECTIVE} {judged['accuracy']:.4f}, {seconds:.1f} s", flush=True
        )
        return {
            "trial": number,
            "hyperparameters": chosen,
            "validation_accuracy": judged["accuracy"],
            "validation_loss": judged["loss"],
            "seconds": round(seconds, 2),
        }

    done = [run(1)]
    with ThreadPoolExecutor(parallel) as pool:
        rest = [pool.submit(run, number) for number in range(2, trials + 1)]
        try:
            done += [trial.result() for trial in rest]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(trial.done() for trial in rest):
                terminate_running()  # repeated, because a trial may be about to start its program
                time.sleep(0.2)
            raise
    done.sort(key=lambda trial: (-trial["validation_accuracy"], trial["validation_loss"]))
    (folder / "tuning.json").write_text(json.dumps(done, indent=2) + "\n")
    return done


def command(options: Namespace) -> int:
    """`byoc tune`."""
    chosen = recipe(options)
    check_tuning(chosen, options.trials)
    folder = new_folder(options.out)
    best = tune(folder, chosen, options.trials)[0]
    settings = " ".join(f"--set {name}={value}" for name, value in best["hyperparameters"].items())
    print(
        f"best: trial {best['trial']}, validation accuracy {best['validation_accuracy']:.4f}\ntrain with it: byoc train {settings} ..."
    )
    return 0
