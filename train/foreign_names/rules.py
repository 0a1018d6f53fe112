"""The rules for hyperparameters of other programs. docs/hyperparameters.md shows them as a table."""

from train.foreign_names.rule import ignored, read, refused, same

PATIENCE = "5"  # epochs, the default of both built-in algorithms with early_stopping=True
CLASS_COUNTS = "num-classes n-classes nb-classes num-class num-labels number-of-classes"
SIZES = "image-shape image-size img-size input-shape input-size image-dim"

RULES = (
    same("learning-rate adam-learning-rate", "lr", "the rate of fine-tuning is `finetune-lr`"),
    same("mini-batch-size train-batch-size batch", "batch-size", "it counts the photos of all hosts together"),
    same("n-epochs num-epochs numepochs nb-epochs nb-epoch max-epochs num-train-epochs", "epochs"),
    same("model-name arch architecture model model-type model-arch network net base-model backbone-name", "backbone"),
    read(
        "num-layers",
        "backbone",
        {layers: f"resnet{layers}" for layers in ("18", "34", "50", "101", "152")},
        "`backbone` names the network, as in `resnet50`",
    ),
    read(
        "use-pretrained-model use-pretrained pretrained",
        "weights",
        {"1": "pretrained", "true": "pretrained"},
        "training from random weights takes `weights=random` and `finetune-epochs`",
    ),
    read(
        "precision-dtype dtype",
        "precision",
        {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"},
        "`precision` is auto, fp32, bf16 or fp16",
    ),
    read(
        "train-only-top-layer train-only-on-top-layer freeze-backbone freeze-layers feature-extract feature-extraction",
        "finetune-epochs",
        {"true": "0", "1": "0"},
        "`finetune-epochs` says for how many epochs the backbone is trained too",
    ),
    read("early-stopping", "early-stopping", {"true": PATIENCE, "false": "0"}, "a number means that many epochs"),
    same(
        "early-stopping-patience early-stop-patience patience",
        "early-stopping",
        "it has no effect if early_stopping=False",
    ),
    same("opt optim optimizer-name", "optimizer"),
    same("wd", "weight-decay"),
    same("dropout-rate drop-rate dropout-prob", "dropout"),
    same("hidden-units hidden-size hidden-dim dense-units", "hidden"),
    same("smoothing label-smoothing-factor", "label-smoothing"),
    same("random-seed manual-seed random-state", "seed"),
    same("validation-split validation-split-ratio val-split valid-size val-size", "validation-share"),
    same("random-erase reprob", "erasing"),
    same("mixup-alpha", "mixup"),
    same("cutmix-alpha", "cutmix"),
    same("max-grad-norm clip-grad-norm clip-grad grad-clip gradient-clip gradient-clip-val", "clip-norm"),
    same("warmup-ratio", "warmup"),
    ignored(CLASS_COUNTS, "the program counts the photos' classes; another number is refused"),
    ignored("num-training-samples num-train-samples num-train-examples num-examples", "the program counts the photos"),
    ignored(SIZES, "photos get the size that the backbone needs; another size is refused"),
    ignored("top-k", "records hold top5, and each request says how many classes the server answers"),
    ignored(
        "num-workers workers num-threads dataloader-num-workers prefetch-factor pin-memory persistent-workers",
        "the program chooses how it reads photos",
    ),
    ignored(
        "log-interval log-freq log-every log-every-n-steps log-level logging-steps print-freq verbose disable-tqdm "
        "enable-progress-bar",
        "every epoch prints one line",
    ),
    ignored(
        "test-batch-size eval-batch-size val-batch-size valid-batch-size validation-batch-size per-device-eval-batch-size",
        "the number of photos that are judged at a time changes no result",
    ),
    ignored(
        "gpu gpus num-gpu num-gpus n-gpu n-gpus device devices accelerator cuda use-cuda no-cuda use-gpu no-mps",
        "all GPUs of a host are used, else its processors",
    ),
    ignored(
        "backend dist-backend dist-url world-size rank local-rank hosts current-host num-nodes master-addr master-port",
        "the job decides hosts and processes",
    ),
    ignored(
        "model-dir sm-model-dir output-dir output-data-dir save-dir log-dir logging-dir default-root-dir checkpoint-dir "
        "checkpoint-path save-model overwrite-output-dir",
        "training writes into the job's folders",
    ),
    ignored(
        "data-dir data-path data train-dir training train valid-dir validation-dir validation test-dir test",
        "photos come from the job's channels",
        only="/opt/ml/input/data*",
    ),
    ignored("checkpoint-frequency checkpoint-interval save-freq save-interval", "every epoch ends with a checkpoint"),
    ignored("kv-store", "all hosts make every step together", only="dist_sync none"),
    ignored("multi-label binary-mode use-weighted-loss", "a photo has one label", only="0 false"),
    ignored(
        "reinitialize-top-layer",
        "the model in the channel `model` keeps its head only for the same classes",
        only="auto",
    ),
    ignored("nesterov", "`sgd` uses plain momentum", only="0 false"),
    ignored("beta-1 beta1 adam-beta1 adam-beta-1", "adam uses torch's default, 0.9", only="0.9"),
    ignored("beta-2 beta2 adam-beta2 adam-beta-2", "adam uses torch's default, 0.999", only="0.999"),
    ignored("eps epsilon adam-eps adam-epsilon opt-eps", "adam uses torch's default, 1e-8", only="1e-08"),
    ignored("rho initial-accumulator-value", "they belong to optimizers that are not offered here"),
    ignored("regularizers-l2", "use `weight-decay`", only="0"),
    ignored("early-stopping-tolerance early-stopping-min-delta", "any better accuracy counts", only="0"),
    ignored("early-stopping-min-epochs", "counting begins with the first epoch", only="0 1"),
    ignored(
        "eval-metric metric-for-best-model",
        "the best epoch is the one with the best validation accuracy",
        only="auto accuracy",
    ),
    ignored("load-best-model-at-end", "the best epoch is kept", only="1 true"),
    ignored(
        "eval-strategy evaluation-strategy save-strategy logging-strategy",
        "every epoch is judged on validation and ends with a checkpoint",
        only="epoch",
    ),
    ignored("do-train do-eval", "every job trains and judges", only="1 true"),
    ignored("shuffle", "each epoch takes the photos in another order", only="1 true"),
    ignored("push-to-hub", "the artifact goes where the job says", only="0 false"),
    ignored("report-to", "every job writes records and TensorBoard's files, and sends none", only="none tensorboard"),
    ignored(
        "loss criterion loss-fn loss-function",
        "the loss is cross-entropy",
        only="ce cross_entropy cross-entropy crossentropy crossentropyloss categorical_crossentropy "
        "sparse_categorical_crossentropy",
    ),
    ignored(
        "augmentation augmentation-type data-augmentation",
        "`views` augments for the head, `augment` and `crop-scale` for fine-tuning",
        only="0 false none",
    ),
    ignored(
        "augmentation-random-flip augmentation-random-rotation augmentation-random-zoom",
        "they belong to augmentation=True, which is refused",
    ),
    ignored(
        "gradient-accumulation-steps accumulate-grad-batches",
        "`finetune-batch-size` is the size of a whole step, and `accumulate` splits it into parts",
        only="1",
    ),
    ignored(
        "resume resume-from start-epoch",
        "a job continues from its own checkpoints; the channel `model` brings an earlier model",
        only="0 false none",
    ),
    ignored("amp use-amp mixed-precision fp16 bf16 half", "`precision` is auto, fp32, bf16 or fp16", only="0 false"),
    ignored("dry-run", "`byoc data check` looks at the photos without training", only="0 false"),
    refused(
        "lr-scheduler-step lr-scheduler-factor lr-scheduler lr-scheduler-type lr-schedule scheduler sched step-size "
        "lr-step-size gamma lr-gamma lr-decay lr-decay-rate decay decay-rate min-lr",
        "the head learns at a constant rate, and fine-tuning's rate follows a cosine after `warmup`; leave it out",
    ),
    refused("warmup-epochs warmup-steps lr-warmup-epochs", "`warmup` is a share of fine-tuning's steps"),
    refused(
        "resize crop-size train-crop-size val-crop-size val-resize-size interpolation image-resize-interpolation",
        "photos are resized and cropped as the backbone's weights need it; leave it out",
    ),
    refused(
        "per-device-train-batch-size per-gpu-batch-size", "`batch-size` counts the photos of all processes together"
    ),
    refused(
        "unfreeze unfreeze-layers unfreeze-epoch unfreeze-epochs trainable-layers fine-tune-at",
        "`finetune-epochs` trains the whole backbone too",
    ),
    refused("max-steps num-steps max-iter steps-per-epoch", "`epochs` counts passes over all photos"),
    refused("model-id model-name-or-path", "`backbone` names the network, as in `resnet50` or `timm/<name>`"),
)
BY_NAME = {name: rule for rule in RULES for name in rule.names}
