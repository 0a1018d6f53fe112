"""The head at its optimum, and the search for its L2 term.

Without hidden layers the loss on frozen features is convex. With an L2 term, which is half of `weight-decay` times the sum of the
weights' squares, it has exactly one optimum, whatever the seed, learning rate, batch size and number of epochs. The search begins with the
strongest L2 term, whose optimum is found fastest. Each further value starts from the previous optimum.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from train import stop
from train.config import Config
from train.evaluation import judge
from train.features import Features
from train.head.search import Found, Trial, write_trial
from train.loop.checkpoint import Checkpoints, Saved
from train.loop.descent import descent
from train.loop.engine import copied
from train.loop.stage import Best, Stage, State
from train.report import Records

# Values of weight-decay: half powers of 10 from 1 to 1e-7. The best value was 0.0003 for lite0's features of 120 breeds, whose squared norm
# around their mean is about 150; it grows with that number.
VALUES = tuple(float(f"{10 ** (-half / 2):.2g}") for half in range(15))
PATIENCE = 2  # If early-stopping is 0, the search ends after this many values without a lower validation loss.


def optimum(
    stage: Stage,
    train: Features,
    config: Config,
    records: Records,
    checkpoints: Checkpoints | None = None,
    saved: Saved | None = None,
) -> Found:
    """Move a stage's head to the optimum of its loss on the features, and return this model as the only epoch of the best trial.

    With `weight_decay` 0 the L2 terms of VALUES are tried, each as a trial with a record and a line, and the one of the lowest
    validation loss is kept. The loss decides because it has less noise than the accuracy, which is often equal for neighbouring values.
    `saved` is the checkpoint to continue from. After SIGTERM the current evaluation is finished and the best value so far is kept; if there
    is none, the weights that the first value has reached. Raises ConfigError for a loss that is not a number.
    """
    values = (config.weight_decay,) if config.weight_decay else VALUES
    tried: list[dict[str, Any]] = list(saved.epochs) if saved else []
    for earlier in tried:
        _tell(stage, config, earlier, records)
    first, best, since = 1, None, 0
    if checkpoints and saved:
        first, kept = saved.restore(stage).epoch, checkpoints.load_best(stage.name)
        best, since = (kept.best, len(tried) - kept.best.epoch) if kept else (None, 0)
    if checkpoints:
        checkpoints.epochs = tried
    with descent(stage, train, checkpoints) as down:
        for number, value in enumerate(values[first - 1 :], first):
            if since >= (config.early_stopping or PATIENCE):
                break
            try:
                metrics, evaluation, logits = down.to_optimum(number, value)
            except stop.Stopped:
                break
            tried.append({"stage": stage.name, "epoch": number, "weight_decay": value, "metrics": metrics})
            since += 1
            if best is None or evaluation.loss < -best.score[1]:
                score = (evaluation.accuracy, -evaluation.loss)
                best, since = Best(epoch=number, score=score, model=copied(stage.model), logits=logits), 0
                if checkpoints:
                    checkpoints.save_best(stage.name, best)
            if checkpoints:
                checkpoints.save(stage, State(epoch=number + 1))
            _tell(stage, config, tried[-1], records)
    if best is None:  # SIGTERM came while the first value was fitted
        logits, labels = stage.predict(stage.model)
        judged = judge(logits, labels)
        stopped = Best(epoch=0, score=(judged.accuracy, -judged.loss), model=copied(stage.model), logits=logits)
        return Found(config=config, best=stopped, epochs=[])
    stage.model.load_state_dict(best.model)
    chosen = tried[best.epoch - 1]
    if not config.weight_decay:
        print(f"kept trial {best.epoch}, weight-decay {chosen['weight_decay']:g}", flush=True)
    if checkpoints:
        checkpoints.epochs = [{"stage": stage.name, "epoch": 1, "metrics": chosen["metrics"]}]
    return Found(
        config=dataclasses.replace(config, weight_decay=chosen["weight_decay"]),
        best=dataclasses.replace(best, epoch=1),
        epochs=[(1, chosen["metrics"])],
    )


def _tell(stage: Stage, config: Config, tried: Mapping[str, Any], records: Records) -> None:
    """Write a value's record and line. If the job itself sets the value, it is not a trial and nothing is written."""
    if config.weight_decay:
        return
    metrics = tried["metrics"]
    trial = Trial(
        number=tried["epoch"],
        total=f"at most {len(VALUES)}",
        hyperparameters={"weight-decay": tried["weight_decay"]},
        epoch=1,
        score=(metrics["validation:accuracy"], -metrics["validation:loss"]),
        seconds=metrics["epoch:seconds"],
    )
    write_trial(trial, records)
