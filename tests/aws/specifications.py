"""Specifications that several tests use: a simple one of each kind, and a way to change its fields."""

import dataclasses
from typing import Any

from launch.aws.requests import calls
from launch.aws.specification import (
    Asynchronous,
    Capture,
    Channel,
    Completion,
    Hosting,
    Identity,
    Machines,
    Model,
    Range,
    Security,
    Serverless,
    Training,
    Transform,
    Tuning,
)

ROLE = "arn:aws:iam::123456789012:role/service-role/local"
TRAIN_IMAGE = "byoc-classifier-train:cpu"
SERVE_IMAGE = "byoc-classifier-serve:cpu"
DIGEST = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/byoc@sha256:{'0a' * 32}"
TAGS = {"project": "dogs", "run": "dogs-1"}
CPU = Machines(types=("ml.m5.large",), max_run=600)
APART = Security(
    isolation=True,
    subnets=("subnet-1a", "subnet-1b"),
    groups=("sg-1",),
    encrypt_traffic=True,
    volume_key="alias/volumes",
    output_key="alias/outputs",
)
IDENTITY = Identity(role=ROLE, tags=TAGS)
LR = Range(name="lr", low="0.001", high="0.1", scale="Logarithmic")
BATCH = Range(name="batch-size", values=("64", "128"))
EPOCHS = Range(name="epochs", low="2", high="5", whole=True)


def changed(value: Any, **changes: Any) -> Any:
    """Return a copy of a frozen value with some fields replaced; a__b names field b of field a."""
    flat = {name: new for name, new in changes.items() if "__" not in name}
    for name, new in changes.items():
        if "__" in name:
            field, rest = name.split("__", 1)
            flat[field] = changed(flat.get(field, getattr(value, field)), **{rest: new})
    return dataclasses.replace(value, **flat)


TRAINING = Training(
    name="dogs-1",
    image=TRAIN_IMAGE,
    identity=IDENTITY,
    machines=CPU,
    channels=tuple(Channel(name=split, uri=f"s3://photos/data/{split}/") for split in ("train", "validation")),
    output="s3://photos/output",
    hyperparameters={"backbone": "timm/tf_efficientnet_lite0", "epochs": "2"},
)
SPOT = changed(
    TRAINING,
    machines__spot=True,
    machines__retries=3,
    checkpoints="s3://photos/checkpoints/dogs-1",
    environment={"A": "b"},
)
TUNING = Tuning(
    training=changed(TRAINING, hyperparameters={"backbone": "resnet18"}), ranges=(LR, BATCH, EPOCHS), seed=7
)
GRID = changed(TUNING, strategy="Grid", ranges=(BATCH, Range(name="epochs", values=("2", "5"))), max_jobs=4)
HYPERBAND = changed(TUNING, strategy="Hyperband", ranges=(LR,), resource=(1, 9))
WARM = changed(TUNING, parents=("dogs-0",), parents_kind="IdenticalDataAndAlgorithm")
COMPLETED = changed(
    TUNING,
    completion=Completion(target=0.95, without_improvement=5, convergence=True),
    early_stopping=True,
    maximize=True,
    max_run=7200,
)
MODEL = Model(name="dogs-1", image=SERVE_IMAGE, identity=IDENTITY, data="s3://models/dogs-1/model.tar.gz")
HOSTING = Hosting(endpoint="dogs", config="dogs-1", model=MODEL, types=("ml.m5.large",))
SERVERLESS = changed(HOSTING, types=(), serverless=Serverless(memory_mb=2048, concurrency=3))
ASYNC = changed(
    HOSTING, asynchronous=Asynchronous(output="s3://photos/answers", failures="s3://photos/failures", concurrency=2)
)
MULTI = changed(HOSTING, model__multi=True, model__data="s3://models/all/")
CAPTURED = changed(HOSTING, capture=Capture(uri="s3://photos/capture", percent=50), count=2, start_seconds=300)
TRANSFORM = Transform(
    name="dogs-1",
    model="dogs-1",
    source="s3://photos/data/test/",
    output="s3://photos/answers",
    machines=CPU,
    tags=TAGS,
)
GOOD = {
    "training": TRAINING,
    "spot": SPOT,
    "apart": changed(SPOT, identity__security=APART, machines__count=2),
    "digest": changed(TRAINING, image=DIGEST),
    "several types": changed(TRAINING, machines__types=("ml.m5.large", "ml.m5.xlarge")),
    "warm pool": changed(TRAINING, machines__keep_alive=600),
    "fast file": changed(TRAINING, channels=tuple(changed(one, mode="FastFile") for one in TRAINING.channels)),
    "tuning": TUNING,
    "grid": GRID,
    "hyperband": HYPERBAND,
    "warm start": WARM,
    "completed": COMPLETED,
    "spot tuning": changed(
        TUNING, training=changed(SPOT, hyperparameters={}, machines__types=("ml.m5.large", "ml.c5.xlarge"))
    ),
    "warm tuning": changed(TUNING, training__machines__keep_alive=600),
    "tuning apart": changed(TUNING, training__identity__security=APART),
    "hosting": HOSTING,
    "serverless": SERVERLESS,
    "async": ASYNC,
    "multi-model": MULTI,
    "captured": CAPTURED,
    "hosting apart": changed(CAPTURED, model__identity__security=APART),
    "pools": changed(HOSTING, types=("ml.m5.large", "ml.c5.large")),
    "package": changed(HOSTING, model__package="arn:aws:sagemaker:us-east-1:123456789012:model-package/dogs/1"),
    "ami": changed(HOSTING, inference_ami="al2023-ami-sagemaker-inference-gpu-4-1", download_seconds=600),
    "transform": TRANSFORM,
    "transform of records": changed(
        TRANSFORM, strategy="MultiRecord", split="RecordIO", assemble="Line", max_payload_mb=20, concurrency=4
    ),
}


def requests(wanted: Any) -> dict[str, dict[str, Any]]:
    """Return the requests of a specification by operation."""
    return dict(calls(wanted))
