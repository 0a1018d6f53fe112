"""Every hyperparameter in one place: its type, range, default and meaning, and the values that a tuner may try. Imports no torch."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from classifier.errors import ConfigError
from train.foreign_names.translate import Given, translate
from train.values import canonical, cast, short


def _knob(
    default: Any, sentence: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """Declare a hyperparameter: its default, its meaning, and its choices or its range (including both ends)."""
    return field(default=default, metadata={"sentence": sentence, "low": low, "high": high, "choices": choices})


MOST_TRACED = 5
LBFGS = "lbfgs"
# Hyperparameters that may differ when a job continues from a checkpoint: they affect nothing already computed.
FREE = ("checkpoint-seconds", "system-metrics", "tensor-stats-steps", "trace-steps", "export-openvino", "export-onnx")
NOT_LBFGS = ("lr", "batch-size", "epochs", "momentum", "search-trials")  # hyperparameters that lbfgs does not use


@dataclass(frozen=True, kw_only=True)
class Config:
    """The hyperparameters of one training job; raises ConfigError for a value outside its range."""

    backbone: str = _knob("inception_v3", "A torchvision classification model, or timm/<name> for a timm model.")
    weights: str = _knob(
        "pretrained", "Pretrained weights, or random ones to time a run.", choices=("pretrained", "random")
    )
    precision: str = _knob(
        "auto",
        "Precision of the backbone. auto is bf16 where the processor or GPU has it, else fp16 on a GPU that is fast in it, else fp32.",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    seed: int = _knob(
        0, "Seed of the head's first weights, of every random choice and of the split.", low=0, high=2**31 - 1
    )

    lr: float = _knob(0.003, "Learning rate of the head's own training.", low=1e-7, high=10)
    batch_size: int = _knob(64, "Photos in one step, over all processes.", low=1, high=65536)
    epochs: int = _knob(5, "Passes of the head over the training photos' features.", low=1, high=10000)
    optimizer: str = _knob(
        "adam",
        "Optimizer of both stages, one of torch.optim. lbfgs finds the head's optimum on all photos at once; fine-tuning then uses adam.",
        choices=("adam", "adamw", "sgd", "lbfgs"),
    )
    weight_decay: float = _knob(
        0.0, "Weight decay of the optimizer. With lbfgs, the head's L2 term, which 0 lets it search.", low=0, high=1
    )
    momentum: float = _knob(0.9, "Momentum of sgd.", low=0, high=0.999)
    hidden: tuple[int, ...] = _knob(
        (), "Widths of hidden layers before the last one, as in 512,256.", low=1, high=65536
    )
    dropout: float = _knob(0.0, "Dropout before the last layer and after each hidden one.", low=0, high=0.99)
    label_smoothing: float = _knob(0.0, "Share of each label spread over all classes.", low=0, high=0.99)
    class_weights: str = _knob(
        "none",
        "balanced gives each class a weight in the loss that is the inverse of its number of photos.",
        choices=("none", "balanced"),
    )
    early_stopping: int = _knob(
        0,
        "A stage ends after this many epochs without a better validation accuracy; 0 never ends it early. "
        "With lbfgs it counts values of weight-decay.",
        low=0,
        high=10000,
    )
    views: int = _knob(0, "Augmented copies of each training photo that the feature pass adds.", low=0, high=100)
    search_trials: int = _knob(
        0,
        "How many configurations of the head to try inside the job; lr, batch-size and epochs vary unless they have values.",
        low=0,
        high=10000,
    )

    finetune_epochs: int = _knob(
        0, "Passes over the photos that train the backbone too, after the head.", low=0, high=10000
    )
    finetune_lr: float = _knob(
        0.0001, "Learning rate of the head in fine-tuning; the other layers have lower ones.", low=1e-8, high=10
    )
    finetune_batch_size: int = _knob(32, "Photos in one step of fine-tuning, over all processes.", low=1, high=65536)
    layer_decay: float = _knob(
        0.7,
        "Factor between the learning rates of each eighth of the backbone's layers and the eighth above it.",
        low=0.01,
        high=1,
    )
    warmup: float = _knob(
        0.1, "Share of fine-tuning's steps in which the rate rises; then it falls along a cosine.", low=0, high=0.9
    )
    accumulate: int = _knob(1, "How many parts a step's photos are split into, to save memory.", low=1, high=1024)
    clip_norm: float = _knob(
        1.0, "Gradients of fine-tuning are clipped to this norm; 0 leaves them as they are.", low=0, high=1000
    )
    ema: float = _knob(
        0.0,
        "Decay of a moving average of fine-tuning's weights, which becomes the model; 0 turns it off.",
        low=0,
        high=0.99999,
    )
    augment: str = _knob(
        "none",
        "Augmentation policy of torchvision, in addition to random crop and flip.",
        choices=("none", "trivialaugment", "randaugment"),
    )
    crop_scale: float = _knob(0.35, "Smallest share of a photo's area in fine-tuning's random crop.", low=0.01, high=1)
    erasing: float = _knob(0.0, "Probability that a rectangle of a photo is erased.", low=0, high=1)
    mixup: float = _knob(0.0, "Alpha of mixup; 0 turns it off.", low=0, high=10)
    cutmix: float = _knob(
        0.0, "Alpha of cutmix; 0 turns it off. Together with mixup, each step uses one of the two.", low=0, high=10
    )
    auxiliary: float = _knob(0.3, "Weight of the auxiliary loss of inception_v3; 0 turns it off.", low=0, high=1)
    compile: bool = _knob(False, "Fine-tune through torch.compile, which needs a C++ compiler.")

    checkpoint_seconds: float = _knob(
        300.0, "Seconds between two checkpoints inside an epoch; each epoch also ends with one.", low=0, high=86400
    )
    max_unreadable: float = _knob(
        1.0, "Percent of the photos that may be unreadable; with more, training refuses.", low=0, high=100
    )
    validation_share: float = _knob(
        0.1,
        "Share of each class of train that becomes validation if there are no validation photos.",
        low=0.01,
        high=0.5,
    )
    system_metrics: str = _knob(
        "on",
        "Whether the machine's use is recorded, twice a second or as profilerconfig.json says.",
        choices=("on", "off"),
    )
    tensor_stats_steps: int = _knob(
        0,
        "Record statistics of gradients, updates and activations in every so many steps; 0 records none.",
        low=0,
        high=1_000_000,
    )
    trace_steps: tuple[int, ...] = _knob(
        (),
        "Steps of each stage's first epoch to trace with torch.profiler, five at most, as in 3,4,5.",
        low=1,
        high=1_000_000,
    )
    export_openvino: str = _knob(
        "auto",
        "Also write the model for OpenVINO, with which serving starts without torch. auto does so up to 400 MB of weights.",
        choices=("auto", "on", "off"),
    )
    export_onnx: bool = _knob(False, "Also write model.onnx, for other runtimes.")

    def __post_init__(self) -> None:
        for knob in dataclasses.fields(self):
            problem = _out_of_range(hyphenated(knob.name), getattr(self, knob.name), knob.metadata)
            if problem:
                raise ConfigError(problem)
        if len(self.trace_steps) > MOST_TRACED:
            raise ConfigError(
                f"hyperparameter trace-steps names {len(self.trace_steps)} steps; name {MOST_TRACED} at most, since each trace is a "
                "large file"
            )
        if self.optimizer == LBFGS and (self.hidden or self.dropout):
            raise ConfigError(
                "hyperparameter optimizer is lbfgs, which finds the optimum of a head without hidden layers and dropout; this one has "
                f"hidden {','.join(map(str, self.hidden)) or 'none'} and dropout {self.dropout:g}: leave them out, or use adam"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the hyperparameters by their hyphenated names."""
        return {hyphenated(name): value for name, value in dataclasses.asdict(self).items()}


# The values that SageMaker's tuner and the search inside a job try by default.
TUNING_RANGES: dict[str, dict[str, Any]] = {
    "lr": {"low": 0.001, "high": 0.1, "log": True},
    "batch-size": {"choices": (64, 128)},
    "epochs": {"choices": (2, 5)},
}
OBJECTIVE = "validation:accuracy"
TRIAL = "_tuning_objective_metric"  # a hyperparameter that SageMaker adds to each job of a tuning job; its value is OBJECTIVE

METRICS = (
    "train:loss",
    "train:accuracy",
    "validation:loss",
    "validation:accuracy",
    "validation:macro_f1",
    "images_per_second",
    "learning_rate",
    "epoch:seconds",
)
# SageMaker reads the metric lines with these: for each metric its name, and a regular expression with one group. `epoch` counts
# the epochs of both stages together.
METRIC_DEFINITIONS = [{"Name": name, "Regex": f"\\b{name}=([-+0-9.e]+)"} for name in ("epoch", *METRICS)]


def metric_line(epoch: int, metrics: Mapping[str, float]) -> str:
    """Return the line that an epoch prints; SageMaker reads it by METRIC_DEFINITIONS."""
    return f"epoch={epoch} " + " ".join(f"{name}={metrics[name]:.6g}" for name in METRICS)


def hyphenated(name: str) -> str:
    """Return the name of the hyperparameter for a field."""
    return name.replace("_", "-")


def translated(hyperparameters: Mapping[str, object]) -> Given:
    """Return SageMaker's map of strings with our names for all hyperparameters, and the problems in it."""
    return translate(hyperparameters, [hyphenated(knob.name) for knob in dataclasses.fields(Config)])


def parse(hyperparameters: Mapping[str, object]) -> Config:
    """Return the configuration for SageMaker's map of strings.

    `batch_size` and `Batch-Size` are read as `batch-size`, and so are the names of other programs in docs/hyperparameters.md.
    Raises one ConfigError for all unknown names, and for all values of the wrong type or outside their range.
    """
    given = translated(hyperparameters)
    values: dict[str, Any] = {}
    problems = list(given.problems)
    for knob in dataclasses.fields(Config):
        name = hyphenated(knob.name)
        if name in given.values:
            called = given.called[name]
            try:
                value = values[knob.name] = cast(called, knob.type, given.values[name], knob.metadata["choices"])
            except ConfigError as error:
                problems.append(str(error))
            else:
                problems.append(_out_of_range(called, value, knob.metadata))
    if values.get("optimizer") == LBFGS:
        if senseless := [given.called[name] for name in NOT_LBFGS if name in given.values]:
            problems.append(
                f"hyperparameter optimizer is lbfgs, which has no {', '.join(senseless)}: it uses all photos in each step until the "
                "loss stops falling, and searches weight-decay; leave these hyperparameters out"
            )
    elif values.get("search_trials") and not searched(hyperparameters):
        problems.append(
            f"search-trials is {values['search_trials']}, but {', '.join(TUNING_RANGES)} all have values; leave out "
            "those that are to be searched, or set search-trials to 0"
        )
    if any(problems):
        raise ConfigError("\n".join(filter(None, problems)))
    return Config(**values)


def searched(hyperparameters: Mapping[str, object]) -> list[str]:
    """Return the names in TUNING_RANGES that the job does not set (under any spelling), so that a search may vary them.

    Empty with lbfgs, which uses none of these hyperparameters.
    """
    given = translated(hyperparameters).values
    return [] if _by_lbfgs(given) else [name for name in TUNING_RANGES if name not in given]


def nothing_left(hyperparameters: Mapping[str, object]) -> str:
    """Return a sentence that says why searched() is empty."""
    names = ", ".join(TUNING_RANGES)
    if _by_lbfgs(translated(hyperparameters).values):
        return f"{names} have no place with the optimizer lbfgs, which searches weight-decay itself"
    return f"{names} all have fixed values"


def _by_lbfgs(given: Mapping[str, str]) -> bool:
    return canonical(given.get("optimizer", "")) == LBFGS


def suggest(trial: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return a value for each name that an Optuna trial suggests from TUNING_RANGES; numbers have six digits."""
    values: dict[str, Any] = {}
    for name in names:
        space = TUNING_RANGES[name]
        if "choices" in space:
            values[name] = trial.suggest_categorical(name, space["choices"])
        else:
            values[name] = float(f"{trial.suggest_float(name, space['low'], space['high'], log=space['log']):.6g}")
    return values


def _out_of_range(name: str, value: Any, knob: Mapping[str, Any]) -> str:
    """Return a sentence if a hyperparameter does not allow a value, "" if it does."""
    low, high, choices = knob["low"], knob["high"], knob["choices"]
    if choices and value not in choices:
        return f"hyperparameter {name} is {short(value)!r}; it must be one of {', '.join(choices)}"
    for number in value if isinstance(value, tuple) else (value,):
        # This form of the condition also refuses nan.
        if low is not None and not low <= number <= high:
            return (
                f"hyperparameter {name} is {short(str(number))}; it must lie between {_limit(low)} and {_limit(high)}"
            )
    return ""


def _limit(number: float) -> str:
    """Return a limit as text, whole numbers with all their digits."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def help_table() -> str:
    """Return the hyperparameters as a Markdown table; docs/hyperparameters.md holds the same one."""
    rows = ["| hyperparameter | default | range | meaning |", "| --- | --- | --- | --- |"]
    for knob in dataclasses.fields(Config):
        low, high, choices = (knob.metadata[key] for key in ("low", "high", "choices"))
        allowed = (
            ", ".join(choices)
            if choices
            else "true, false"
            if knob.type is bool
            else f"{_limit(low)} to {_limit(high)}"
            if low is not None
            else ""
        )
        default = ",".join(map(str, knob.default)) if isinstance(knob.default, tuple) else str(knob.default)
        default = default.lower() if knob.type is bool else default
        rows.append(f"| `{hyphenated(knob.name)}` | {default or 'none'} | {allowed} | {knob.metadata['sentence']} |")
    return "\n".join(rows)
