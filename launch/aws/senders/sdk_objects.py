"""Makes objects of SDK v2 from a specification, for the SDK's sender and for notebooks.

This module imports the SDK, so only a process that has the SDK may import it.
"""

import logging
from collections.abc import Mapping
from typing import Any

from sagemaker.async_inference import AsyncInferenceConfig
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model, ModelPackage
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import IdentitySerializer
from sagemaker.serverless import ServerlessInferenceConfig
from sagemaker.session import Session as SdkSession
from sagemaker.transformer import Transformer
from sagemaker.tuner import (
    CategoricalParameter,
    ContinuousParameter,
    HyperbandStrategyConfig,
    HyperparameterTuner,
    InstanceConfig,
    IntegerParameter,
    StrategyConfig,
    TuningJobCompletionCriteriaConfig,
    WarmStartConfig,
    WarmStartTypes,
)

from launch.aws import specification
from launch.aws.requests import members
from launch.aws.requests.training import CHECKPOINTS
from launch.aws.session import Session
from launch.aws.specification import Channel, Completion, Hosting, Range, Training, Transform, Tuning
from train.config import METRIC_DEFINITIONS

# Hide the SDK's own configuration files, whose defaults our plan would not show. Turn off telemetry to AWS's bucket.
PRIVATE = {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}
TAGGED = ("Model", "EndpointConfig", "Endpoint")  # classes whose objects keep no tags


def sdk_session(session: Session, tags: Mapping[str, str] | None = None) -> Any:
    """Return an SDK session that uses our session's credentials, region and clients; deploy() adds `tags` to everything that it makes."""
    # Otherwise the SDK would log each value of `config`.
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
    always = {"Tags": members.tags(tags)} if tags else {}
    config = {"SchemaVersion": "1.0", "SageMaker": PRIVATE | ({name: always for name in TAGGED} if always else {})}
    return SdkSession(
        boto_session=session.boto,
        sagemaker_client=session.client("sagemaker"),
        sagemaker_runtime_client=session.client("sagemaker-runtime"),
        default_bucket=session.settings.bucket or None,
        default_bucket_prefix=session.settings.prefix or None,
        sagemaker_config=config,
    )


def estimator(training: Training, session: Any) -> Any:
    """Return an Estimator.

    Make a new one for each job: if an Estimator has already trained, the SDK's tuner asks AWS for the results of that job.
    """
    machines, security = training.machines, training.identity.security
    return Estimator(
        image_uri=training.image,
        role=training.identity.role,
        instance_count=machines.count,
        instance_type=machines.types[0],
        keep_alive_period_in_seconds=machines.keep_alive or None,
        volume_size=machines.volume_gb,
        volume_kms_key=security.volume_key or None,
        max_run=machines.max_run,
        use_spot_instances=machines.spot,
        max_wait=(machines.max_wait or 2 * machines.max_run) if machines.spot else None,
        max_retry_attempts=machines.retries or None,
        input_mode="File",
        output_path=training.output,
        output_kms_key=security.output_key or None,
        base_job_name=training.name,
        sagemaker_session=session,
        hyperparameters=dict(training.hyperparameters),
        tags=members.tags(training.identity.tags),
        subnets=list(security.subnets) or None,
        security_group_ids=list(security.groups) or None,
        metric_definitions=[dict(metric) for metric in METRIC_DEFINITIONS],
        encrypt_inter_container_traffic=security.encrypt_traffic,
        enable_network_isolation=security.isolation,
        checkpoint_s3_uri=training.checkpoints or None,
        checkpoint_local_path=CHECKPOINTS if training.checkpoints else None,
        environment=dict(training.environment) or None,
        disable_profiler=True,
        debugger_hook_config=False,
    )


def inputs(training: Training) -> dict[str, Any]:
    """Return the channels in the form that fit() takes."""
    return {channel.name: training_input(channel) for channel in training.channels}


def training_input(channel: Channel) -> Any:
    """Return one channel."""
    return TrainingInput(
        channel.uri,
        distribution=channel.distribution,
        content_type=channel.content_type or None,
        input_mode=channel.mode,
    )


def tuner(tuning: Tuning, session: Any) -> Any:
    """Return a HyperparameterTuner with a new Estimator."""
    training = tuning.training
    machines = training.machines
    made = HyperparameterTuner(
        estimator(training, session),
        tuning.objective,
        {one.name: _range(one) for one in tuning.ranges},
        metric_definitions=[dict(metric) for metric in METRIC_DEFINITIONS],
        strategy=tuning.strategy,
        objective_type="Maximize" if tuning.maximize else "Minimize",
        max_jobs=tuning.max_jobs,
        max_parallel_jobs=tuning.parallel,
        max_runtime_in_seconds=tuning.max_run or None,
        tags=members.tags(training.identity.tags),
        base_tuning_job_name=training.name,
        warm_start_config=_warm_start(tuning),
        strategy_config=_strategy(tuning),
        completion_criteria_config=_completion(tuning.completion),
        early_stopping_type="Auto" if tuning.early_stopping else "Off",
        random_seed=tuning.seed,
    )
    if len(machines.types) > 1:
        made.override_resource_config(
            [
                InstanceConfig(instance_count=machines.count, instance_type=name, volume_size=machines.volume_gb)
                for name in machines.types
            ]
        )
    return made


def model(wanted: specification.Model, session: Any) -> Any:
    """Return a Model, a MultiDataModel or a ModelPackage; its deploy() returns a Predictor that takes photos."""
    security = wanted.identity.security
    options: dict[str, Any] = {
        "role": wanted.identity.role,
        "name": wanted.name,
        "env": dict(wanted.environment),
        "vpc_config": members.vpc(security),
        "enable_network_isolation": security.isolation,
        "sagemaker_session": session,
        "predictor_cls": predictor,
    }
    if wanted.package:
        return ModelPackage(model_package_arn=wanted.package, **options)
    if wanted.multi:
        return MultiDataModel(model_data_prefix=wanted.data, image_uri=wanted.image, **options)
    return Model(wanted.image, model_data=wanted.data, **options)


def predictor(endpoint: str, session: Any) -> Any:
    """Return a Predictor that sends a photo's bytes and reads JSON."""
    return Predictor(endpoint, session, IdentitySerializer("application/x-image"), JSONDeserializer())


def deployment(hosting: Hosting, session: Any) -> dict[str, Any]:
    """Return the arguments of deploy()."""
    security = hosting.model.identity.security
    several = {
        "initial_instance_count": None if hosting.serverless else hosting.count,
        "instance_type": None if hosting.serverless else hosting.types[0],
        "endpoint_name": hosting.endpoint,
        "tags": members.tags(hosting.model.identity.tags),
        "kms_key": security.volume_key or None,
        "data_capture_config": _capture(hosting, session),
    }
    if hosting.model.multi:
        return several
    return several | {
        "async_inference_config": _async(hosting),
        "serverless_inference_config": _serverless(hosting),
        "model_data_download_timeout": hosting.download_seconds or None,
        "container_startup_health_check_timeout": hosting.start_seconds or None,
        "inference_ami_version": hosting.inference_ami or None,
    }


def transformer(transform: Transform, session: Any) -> Any:
    """Return a Transformer for an existing model."""
    return Transformer(
        transform.model,
        transform.machines.count,
        transform.machines.types[0],
        strategy=transform.strategy or None,
        assemble_with=transform.assemble or None,
        output_path=transform.output,
        output_kms_key=transform.output_key or None,
        accept=transform.accept,
        max_concurrent_transforms=transform.concurrency or None,
        max_payload=transform.max_payload_mb or None,
        tags=members.tags(transform.tags),
        base_transform_job_name=transform.name,
        sagemaker_session=session,
        volume_kms_key=transform.volume_key or None,
    )


def from_parameter(name: str, parameter: Any) -> Range:
    """Return a specification's Range for a range object of the SDK."""
    if isinstance(parameter, CategoricalParameter):
        return Range(name=name, values=tuple(map(str, parameter.values)))
    low, high = str(parameter.min_value), str(parameter.max_value)
    whole = isinstance(parameter, IntegerParameter)
    return Range(name=name, low=low, high=high, whole=whole, scale=parameter.scaling_type)


def _range(one: Range) -> Any:
    if one.values:
        return CategoricalParameter(list(one.values))
    kind = IntegerParameter if one.whole else ContinuousParameter
    return kind(one.low, one.high, one.scale)


def _warm_start(tuning: Tuning) -> Any:
    return WarmStartConfig(WarmStartTypes(tuning.parents_kind), set(tuning.parents)) if tuning.parents else None


def _strategy(tuning: Tuning) -> Any:
    if not tuning.resource:
        return None
    fewest, most = tuning.resource
    return StrategyConfig(HyperbandStrategyConfig(max_resource=most, min_resource=fewest))


def _completion(completion: Completion) -> Any:
    if completion == Completion():
        return None
    return TuningJobCompletionCriteriaConfig(
        max_number_of_training_jobs_not_improving=completion.without_improvement,
        complete_on_convergence=completion.convergence or None,
        target_objective_metric_value=completion.target,
    )


def _capture(hosting: Hosting, session: Any) -> Any:
    if hosting.capture is None:
        return None
    return DataCaptureConfig(
        True,
        sampling_percentage=hosting.capture.percent,
        destination_s3_uri=hosting.capture.uri,
        kms_key_id=hosting.model.identity.security.output_key or None,
        json_content_types=["application/json", "application/jsonlines"],
        sagemaker_session=session,
    )


def _async(hosting: Hosting) -> Any:
    if hosting.asynchronous is None:
        return None
    return AsyncInferenceConfig(
        output_path=hosting.asynchronous.output,
        max_concurrent_invocations_per_instance=hosting.asynchronous.concurrency or None,
        kms_key_id=hosting.model.identity.security.output_key or None,
        # Trap: the SDK creates a bucket if this is None.
        failure_path=hosting.asynchronous.failures,
    )


def _serverless(hosting: Hosting) -> Any:
    size = hosting.serverless
    if size is None:
        return None
    return ServerlessInferenceConfig(size.memory_mb, size.concurrency, size.provisioned or None)
