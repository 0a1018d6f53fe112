"""Hyperparameters of other programs, which notebooks bring along, and what each one means here. Imports no torch.

They come from SageMaker's built-in image classification (MXNet and TensorFlow), JumpStart, and common torch and keras scripts.
Each name is read as one of ours, or ignored because it changes nothing here, or refused with a sentence on what to use.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from classifier.errors import ConfigError
from train.values import canonical, plain_text, short

# Names of the platform that do not begin with sagemaker_ (sagemaker-training, params.py).
_PLATFORM = frozenset({"default-user-module-name", "-tuning-objective-metric"})
HINT = 0.8  # a known name that is at least so similar is suggested; optimiser and optimizer have 0.89, drop and dropout 0.73
PATIENCE = "5"  # epochs, the default of both built-in algorithms with early_stopping=True


@dataclass(frozen=True, eq=False, kw_only=True)
class Rule:
    """What some hyperparameters of other programs mean here.

    They are read as our hyperparameter `ours`, or ignored if that is "". `values` limits this to some values: it maps patterns
    to our values, and other values are refused. `answer` says why, or what to use.
    """

    names: tuple[str, ...]
    ours: str
    values: Mapping[str, str] | None
    answer: str

    def value(self, text: str) -> str | None:
        """Return our value for a value of another program, None if it is refused."""
        if self.values is None:
            return text
        found = (new for pattern, new in self.values.items() if fnmatchcase(canonical(text), pattern))
        return next(found, None)


def _same(names: str, ours: str, answer: str = "") -> Rule:
    return Rule(names=tuple(names.split()), ours=ours, values=None, answer=answer)


def _read(names: str, ours: str, values: Mapping[str, str], answer: str) -> Rule:
    return Rule(names=tuple(names.split()), ours=ours, values=values, answer=answer)


def _ignored(names: str, answer: str, only: str = "") -> Rule:
    return Rule(
        names=tuple(names.split()), ours="", values=dict.fromkeys(only.split(), "") if only else None, answer=answer
    )


def _refused(names: str, answer: str) -> Rule:
    return Rule(names=tuple(names.split()), ours="", values={}, answer=answer)


CLASS_COUNTS = "num-classes n-classes nb-classes num-class num-labels number-of-classes"
SIZES = "image-shape image-size img-size input-shape input-size image-dim"

RULES = (
    _same("learning-rate adam-learning-rate", "lr", "the rate of fine-tuning is `finetune-lr`"),
    _same("mini-batch-size train-batch-size batch", "batch-size", "over all hosts together"),
    _same("n-epochs num-epochs numepochs nb-epochs nb-epoch max-epochs num-train-epochs", "epochs"),
    _same("model-name arch architecture model model-type model-arch network net base-model backbone-name", "backbone"),
    _read(
        "num-layers",
        "backbone",
        {layers: f"resnet{layers}" for layers in ("18", "34", "50", "101", "152")},
        "`backbone` names the network, as in `resnet50`",
    ),
    _read(
        "use-pretrained-model use-pretrained pretrained",
        "weights",
        {"1": "pretrained", "true": "pretrained"},
        "training from random weights takes `weights=random` and `finetune-epochs`",
    ),
    _read(
        "precision-dtype dtype",
        "precision",
        {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"},
        "`precision` is auto, fp32, bf16 or fp16",
    ),
    _read(
        "train-only-top-layer train-only-on-top-layer freeze-backbone freeze-layers feature-extract feature-extraction",
        "finetune-epochs",
        {"true": "0", "1": "0"},
        "`finetune-epochs` says for how many epochs the backbone is trained too",
    ),
    _read("early-stopping", "early-stopping", {"true": PATIENCE, "false": "0"}, "a number is that of epochs"),
    _same(
        "early-stopping-patience early-stop-patience patience", "early-stopping", "of no effect if early_stopping=False"
    ),
    _same("opt optim optimizer-name", "optimizer"),
    _same("wd", "weight-decay"),
    _same("dropout-rate drop-rate dropout-prob", "dropout"),
    _same("hidden-units hidden-size hidden-dim dense-units", "hidden"),
    _same("smoothing label-smoothing-factor", "label-smoothing"),
    _same("random-seed manual-seed random-state", "seed"),
    _same("validation-split validation-split-ratio val-split valid-size val-size", "validation-share"),
    _same("random-erase reprob", "erasing"),
    _same("mixup-alpha", "mixup"),
    _same("cutmix-alpha", "cutmix"),
    _same("max-grad-norm clip-grad-norm clip-grad gradient-clip-val", "clip-norm"),
    _same("warmup-ratio", "warmup"),
    _ignored(CLASS_COUNTS, "the photos' classes are counted; another number than theirs is refused"),
    _ignored("num-training-samples num-train-samples num-train-examples num-examples", "the photos are counted"),
    _ignored(SIZES, "photos get the size that the backbone takes; another one is refused"),
    _ignored("top-k", "records hold top5, and the server answers as many classes as a request asks for"),
    _ignored(
        "num-workers workers num-threads dataloader-num-workers prefetch-factor pin-memory persistent-workers",
        "the program chooses how it reads photos",
    ),
    _ignored(
        "log-interval log-freq log-every log-every-n-steps log-level logging-steps print-freq verbose disable-tqdm "
        "enable-progress-bar",
        "every epoch prints one line",
    ),
    _ignored(
        "test-batch-size eval-batch-size val-batch-size valid-batch-size validation-batch-size per-device-eval-batch-size",
        "how many photos are judged at a time changes no result",
    ),
    _ignored(
        "gpu gpus num-gpu num-gpus n-gpu n-gpus device devices accelerator cuda use-cuda no-cuda use-gpu no-mps",
        "all GPUs of a host are used, else its processors",
    ),
    _ignored(
        "backend dist-backend dist-url world-size rank local-rank hosts current-host num-nodes master-addr master-port",
        "hosts and processes are the job's",
    ),
    _ignored(
        "model-dir sm-model-dir output-dir output-data-dir save-dir log-dir logging-dir default-root-dir checkpoint-dir "
        "checkpoint-path save-model overwrite-output-dir",
        "the job's folders get what training writes",
    ),
    _ignored(
        "data-dir data-path data train-dir training train valid-dir validation-dir validation test-dir test",
        "photos come from the job's channels",
        only="/opt/ml/input/data*",
    ),
    _ignored("checkpoint-frequency checkpoint-interval save-freq save-interval", "every epoch ends with a checkpoint"),
    _ignored("kv-store", "hosts always learn in step", only="dist_sync none"),
    _ignored("multi-label binary-mode use-weighted-loss", "a photo has one label", only="0 false"),
    _ignored("reinitialize-top-layer", "the channel `model` keeps its head for the same classes alone", only="auto"),
    _ignored("nesterov", "`sgd` has plain momentum", only="0 false"),
    _ignored("beta-1 beta1 adam-beta1 adam-beta-1", "adam has torch's own, 0.9", only="0.9"),
    _ignored("beta-2 beta2 adam-beta2 adam-beta-2", "adam has torch's own, 0.999", only="0.999"),
    _ignored("eps epsilon adam-eps adam-epsilon opt-eps", "adam has torch's own, 1e-8", only="1e-08"),
    _ignored("rho initial-accumulator-value", "they belong to optimizers that are not offered here"),
    _ignored("regularizers-l2", "`weight-decay` takes its place", only="0"),
    _ignored("early-stopping-tolerance early-stopping-min-delta", "any better accuracy counts", only="0"),
    _ignored("early-stopping-min-epochs", "epochs count from the first", only="0 1"),
    _ignored(
        "eval-metric metric-for-best-model",
        "the best epoch is that of the best validation accuracy",
        only="auto accuracy",
    ),
    _ignored("load-best-model-at-end", "the best epoch is kept", only="1 true"),
    _ignored(
        "eval-strategy evaluation-strategy save-strategy logging-strategy",
        "every epoch is judged on validation and ends with a checkpoint",
        only="epoch",
    ),
    _ignored("do-train do-eval", "every job trains and judges", only="1 true"),
    _ignored("shuffle", "each epoch takes the photos in another order", only="1 true"),
    _ignored("push-to-hub", "the artifact goes where the job says", only="0 false"),
    _ignored("report-to", "every job writes records and TensorBoard's files, and sends none", only="none tensorboard"),
    _ignored(
        "loss criterion loss-fn loss-function",
        "the loss is cross-entropy",
        only="ce cross_entropy cross-entropy crossentropy crossentropyloss categorical_crossentropy "
        "sparse_categorical_crossentropy",
    ),
    _ignored(
        "augmentation augmentation-type data-augmentation",
        "`views` augments for the head, `augment` and `crop-scale` for fine-tuning",
        only="0 false none",
    ),
    _ignored(
        "augmentation-random-flip augmentation-random-rotation augmentation-random-zoom",
        "they belong to augmentation=True, which is refused",
    ),
    _ignored(
        "gradient-accumulation-steps accumulate-grad-batches",
        "`finetune-batch-size` is the whole step, `accumulate` the parts it is split into",
        only="1",
    ),
    _ignored(
        "resume resume-from start-epoch",
        "a job goes on from its own checkpoints; the channel `model` brings an earlier model",
        only="0 false none",
    ),
    _ignored("amp use-amp mixed-precision fp16 bf16 half", "`precision` is auto, fp32, bf16 or fp16", only="0 false"),
    _ignored("dry-run", "`byoc data check` looks at the photos without training", only="0 false"),
    _refused(
        "lr-scheduler-step lr-scheduler-factor lr-scheduler lr-scheduler-type lr-schedule scheduler sched step-size "
        "lr-step-size gamma lr-gamma lr-decay lr-decay-rate decay decay-rate min-lr",
        "the head learns at one rate, and fine-tuning's follows a cosine after `warmup`; leave it out",
    ),
    _refused("warmup-epochs warmup-steps lr-warmup-epochs", "`warmup` is a share of fine-tuning's steps"),
    _refused(
        "resize crop-size train-crop-size val-crop-size val-resize-size interpolation image-resize-interpolation",
        "photos are resized and cropped as the backbone's weights want it; leave it out",
    ),
    _refused("per-device-train-batch-size per-gpu-batch-size", "`batch-size` is that of all processes together"),
    _refused("max-steps num-steps max-iter steps-per-epoch", "`epochs` counts passes over all photos"),
    _refused("model-id model-name-or-path", "`backbone` names the network, as in `resnet50` or `timm/<name>`"),
)
BY_NAME = {name: rule for rule in RULES for name in rule.names}


@dataclass(frozen=True, kw_only=True)
class Given:
    """A job's hyperparameters: `values` holds their texts by our names.

    `called` holds the name that the job used for each of ours. `notes` are sentences on names that were read as ours or ignored,
    `problems` on names that are refused.
    """

    values: Mapping[str, str]
    called: Mapping[str, str]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def plain_name(name: str) -> str:
    """Return a name in small letters and with hyphens, as ours are written."""
    return name.strip().lower().replace("_", "-")


def translate(hyperparameters: Mapping[str, object], ours: Collection[str]) -> Given:
    """Return the meaning of a job's hyperparameters; `ours` are the names of this program.

    Names of the platform are left out, and so are values that stand for "not given". Problems are unknown names, names that are
    refused, and two names for one hyperparameter with different values.
    """
    found: dict[str, dict[str, str]] = {}  # our name -> the names that the job used -> values
    read = dict[str, str]()
    unknown, problems = list[str](), list[str]()
    ignored, refused = dict[Rule, list[str]](), dict[Rule, list[str]]()
    for name, value in hyperparameters.items():
        plain = plain_name(name)
        if plain.startswith("sagemaker-") or plain in _PLATFORM:
            continue
        try:
            text = plain_text(name, value)
        except ConfigError as error:
            problems.append(str(error))
            continue
        if text is None:
            continue
        rule = BY_NAME.get(plain)
        new = rule.value(text) if rule else None
        if plain in ours and new is None:
            found.setdefault(plain, {})[name] = text
        elif rule is None:
            unknown.append(name)
        elif new is None:
            refused.setdefault(rule, []).append(f"{name}={short(text)}" if rule.values else name)
        elif rule.ours:
            found.setdefault(rule.ours, {})[name] = new
            read[name] = f"{name} is read as {rule.ours}" + (f"={new}" if rule.values else "")
        else:
            ignored.setdefault(rule, []).append(name)
    _early_stopping(found.get("early-stopping", {}), hyperparameters)
    for ours_, values in found.items():
        if len({canonical(text) for text in values.values()}) > 1:
            said = " and ".join(f"{name}={short(str(hyperparameters[name]))}" for name in values)
            problems.append(f"hyperparameters {said} both mean {ours_} and differ; leave one of them out")
    problems += [f"{_listed(names)} no place here: {rule.answer}" for rule, names in refused.items()]
    if unknown:
        problems.append(_unknown(unknown, ours))
    used = [read[name] for values in found.values() for name in values if name in read]
    notes = ["hyperparameters: " + ", ".join(used)] if used else []
    if ignored:
        reasons = "; ".join(f"{', '.join(names)} ({rule.answer})" for rule, names in ignored.items())
        notes.append(f"hyperparameters that change nothing here and are ignored: {reasons}")
    return Given(
        values={name: next(iter(values.values())) for name, values in found.items()},
        called={name: next(iter(values)) for name, values in found.items()},
        notes=tuple(notes),
        problems=tuple(problems),
    )


def check_class_count(hyperparameters: Mapping[str, object], count: int) -> None:
    """Raise ConfigError if a hyperparameter expects another number of classes than the photos have."""
    _check(hyperparameters, CLASS_COUNTS, count, f"the photos have {count} classes; mend the class folders")


def check_size(hyperparameters: Mapping[str, object], backbone: str, pixels: int) -> None:
    """Raise ConfigError if a hyperparameter expects photos of another size than the backbone takes."""
    remedy = f"the backbone {backbone} takes {pixels} x {pixels} pixels; name a backbone of the other size"
    _check(hyperparameters, SIZES, pixels, remedy)


def _check(hyperparameters: Mapping[str, object], names: str, right: int, remedy: str) -> None:
    for name, value in hyperparameters.items():
        text = plain_text(name, value) if plain_name(name) in names.split() else None
        if text is not None:
            numbers = re.findall(r"\d+", text.removesuffix(".0"))
            # In a shape such as 3,224,224 the 3 counts colour channels.
            sizes = {number for number in numbers if len(numbers) < 3 or number != "3"}
            if sizes != {str(right)}:
                raise ConfigError(f"hyperparameter {name} is {short(text)!r}, but {remedy}, or leave {name} out")


def _early_stopping(values: dict[str, str], hyperparameters: Mapping[str, object]) -> None:
    """Combine early_stopping=True or False with a hyperparameter that names the patience.

    True uses that patience; False makes it have no effect.
    """
    switch = next((name for name in values if plain_name(name) == "early-stopping"), None)
    if switch is None or len(values) < 2:
        return
    said = canonical(plain_text(switch, hyperparameters[switch]) or "")
    if said == "true":
        del values[switch]
    elif said == "false":
        for name in values.keys() - {switch}:
            del values[name]


def _listed(names: list[str]) -> str:
    return f"hyperparameter {names[0]} has" if len(names) == 1 else f"hyperparameters {', '.join(names)} have"


def _unknown(names: list[str], ours: Collection[str]) -> str:
    """Return a sentence on unknown names, each with the known name that is most similar."""
    known = [*ours, *(name for name, rule in BY_NAME.items() if rule.ours)]
    said = []
    for name in names:
        near = get_close_matches(plain_name(name), known, n=1, cutoff=HINT)
        said.append(f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    verb = "hyperparameter {} is unknown" if len(names) == 1 else "hyperparameters {} are unknown"
    return f"{verb.format(', '.join(said))}; leave out what is not known: {', '.join(ours)}"


def table() -> str:
    """Return all rules as a Markdown table; docs/hyperparameters.md holds the same one."""
    rows = ["| hyperparameters of other programs | here |", "| --- | --- |"]
    for rule in RULES:
        names = ", ".join(f"`{name}`" for name in rule.names)
        rows.append(f"| {names} | {_meaning(rule)} |")
    return "\n".join(rows)


def _meaning(rule: Rule) -> str:
    why = f": {rule.answer}" if rule.answer else ""
    if rule.values is None:
        return f"read as `{rule.ours}`{why}" if rule.ours else f"ignored{why}"
    if not rule.values:
        return f"refused{why}"
    if rule.ours:
        values = ", ".join(f"{theirs} is {ours}" for theirs, ours in rule.values.items())
        return f"read as `{rule.ours}`, where {values}; other values are refused{why}"
    return f"ignored when it is {' or '.join(rule.values)}, else refused{why}"
