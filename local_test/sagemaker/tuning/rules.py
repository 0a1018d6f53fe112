"""Rules of CreateHyperParameterTuningJob that the API model does not have. Sources: API is the model's own text, G23 the guide's page."""

from typing import Any

from local_test.sagemaker import shapes
from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.training.rules import RULES as TRAINING
from local_test.sagemaker.tuning.plan import EPOCHS, Part, epochs, parts
from local_test.sagemaker.tuning.ranges import CATEGORICAL
from local_test.sagemaker.tuning.training_request import STATIC_METRIC, training_request

Request = dict[str, Any]
LONGEST = 20000  # the most epochs of Hyperband (API, HyperbandStrategyConfig.MaxResource)
HYPERPARAMETERS = 100  # the most hyperparameters of a training job (API, HyperParameters)
# The most variables of Environment, in all definitions together (API, HyperParameterTrainingJobDefinition.Environment).
VARIABLES = 48


def emulated(request: Request) -> None:
    """Refuse members that the emulator does not support, and name them."""
    if request.get("Autotune"):
        raise not_emulated("CreateHyperParameterTuningJob with Autotune")
    for definition in _definitions(request):
        if definition["AlgorithmSpecification"].get("AlgorithmName"):
            raise not_emulated("CreateHyperParameterTuningJob with AlgorithmSpecification.AlgorithmName")
        if definition.get("CheckpointConfig"):
            # AWS does not document where below the S3Uri each training job keeps its checkpoints.
            raise not_emulated("CreateHyperParameterTuningJob with CheckpointConfig")


def definitions(request: Request) -> None:
    """Check that a request has one definition, or several with objectives and ranges of their own (G23 multiple-algorithm-hpo)."""
    single, several = request.get("TrainingJobDefinition"), request.get("TrainingJobDefinitions")
    config = request["HyperParameterTuningJobConfig"]
    if bool(single) == bool(several):
        raise invalid("either TrainingJobDefinition or TrainingJobDefinitions is needed, and not both")
    if single:
        if single.get("TuningObjective") or single.get("HyperParameterRanges"):
            raise invalid(
                "TuningObjective and HyperParameterRanges are members of TrainingJobDefinitions; with TrainingJobDefinition they "
                "are HyperParameterTuningJobObjective and ParameterRanges of HyperParameterTuningJobConfig"
            )
        if not config.get("HyperParameterTuningJobObjective"):
            raise invalid("HyperParameterTuningJobObjective of HyperParameterTuningJobConfig is missing")
        return
    if config.get("HyperParameterTuningJobObjective") or config.get("ParameterRanges"):
        raise invalid(
            "with TrainingJobDefinitions, HyperParameterTuningJobObjective and ParameterRanges must not be set in "
            "HyperParameterTuningJobConfig: each definition has its own TuningObjective and HyperParameterRanges"
        )
    _several(request)


def _several(request: Request) -> None:
    entries = _definitions(request)
    names = [entry.get("DefinitionName") for entry in entries]
    if None in names or len(set(names)) < len(names):
        raise invalid("each of TrainingJobDefinitions needs a DefinitionName that no other has")
    for entry in entries:
        if not entry.get("TuningObjective"):
            raise invalid(f"the TuningObjective of the definition {entry['DefinitionName']} is missing")
    if len({entry["TuningObjective"]["Type"] for entry in entries}) > 1:
        raise not_emulated("TrainingJobDefinitions with objectives of both types, Maximize and Minimize")
    config = request["HyperParameterTuningJobConfig"]
    if len(entries) > 1 and request.get("WarmStartConfig"):
        raise invalid("WarmStartConfig is available only for a single training job definition")
    if len(entries) > 1 and config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise invalid("TrainingJobEarlyStoppingType Auto is available only for a single training job definition")


def resources(request: Request) -> None:
    """Check that each definition names its instances in one of the two ways (API, HyperParameterTuningResourceConfig)."""
    for definition in _definitions(request):
        plain, tuning = definition.get("ResourceConfig"), definition.get("HyperParameterTuningResourceConfig")
        if bool(plain) == bool(tuning):
            raise invalid(
                "either ResourceConfig or HyperParameterTuningResourceConfig is needed in a training job definition, not both"
            )
        single = [name for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB") if (tuning or {}).get(name)]
        if tuning and tuning.get("InstanceConfigs") and single:
            raise invalid(f"{single[0]} must not be set where HyperParameterTuningResourceConfig has InstanceConfigs")


def searched(request: Request) -> None:
    """Check the searched and the static hyperparameters, and the metrics."""
    variables = sum(len(definition.get("Environment") or {}) for definition in _definitions(request))
    if variables > VARIABLES:
        raise invalid(
            f"Environment has {variables} entries in all training job definitions; at most {VARIABLES} are allowed"
        )
    for part in parts(request):
        names = {parameter.name for parameter in part.parameters}
        if both := names & set(part.static):
            raise invalid(f"the hyperparameter '{min(both)}' is both static and tuned; leave it out of one of the two")
        if len(names | set(part.static) | {STATIC_METRIC}) > HYPERPARAMETERS:
            raise invalid(f"static and tuned hyperparameters are more than {HYPERPARAMETERS}")
        metrics = part.definition["AlgorithmSpecification"].get("MetricDefinitions") or []
        if part.objective.metric not in [entry["Name"] for entry in metrics]:
            # The first two sentences are AWS's (python-sdk#3932).
            raise invalid(
                "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric definitions. "
                f"The objective is '{part.objective.metric}'"
            )


def strategy(request: Request) -> None:
    """Check the rules of each strategy."""
    config = request["HyperParameterTuningJobConfig"]
    chosen, limits = config["Strategy"], config["ResourceLimits"]
    if config.get("StrategyConfig") and chosen != "Hyperband":
        raise invalid(f"StrategyConfig is for the strategy Hyperband, and the strategy is {chosen}")
    if chosen == "Grid":
        return _grid(request)
    if chosen == "Hyperband":
        _hyperband(request)
    criteria = config.get("TuningJobCompletionCriteria") or {}
    if not limits.get("MaxNumberOfTrainingJobs") and not limits.get("MaxRuntimeInSeconds") and not criteria:
        raise invalid("ResourceLimits needs MaxNumberOfTrainingJobs: nothing else would end this tuning job")


def _grid(request: Request) -> None:
    """Refuse a grid search over parameters that are not categorical, or whose number of jobs is not the number of combinations.

    Source: G23, automatic-model-tuning-how-it-works.
    """
    wanted = request["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    found = parts(request)
    for parameter in [parameter for part in found for parameter in part.parameters]:
        if parameter.kind != CATEGORICAL:
            raise invalid(
                f"the strategy Grid takes categorical hyperparameters alone, and '{parameter.name}' is {parameter.kind}"
            )
    combinations = sum(part.combinations for part in found)
    if wanted is not None and wanted != combinations:
        raise invalid(
            f"MaxNumberOfTrainingJobs is {wanted}, and the strategy Grid has {combinations} combinations; leave it out or make "
            "it equal"
        )


def _hyperband(request: Request) -> None:
    """Check the rules of Hyperband (API, HyperbandStrategyConfig and TrainingJobEarlyStoppingType)."""
    config = request["HyperParameterTuningJobConfig"]
    if config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise invalid(
            "TrainingJobEarlyStoppingType must be Off with the strategy Hyperband, which stops jobs by itself"
        )
    hyperband = (config.get("StrategyConfig") or {}).get("HyperbandStrategyConfig") or {}
    for part in parts(request):
        most = hyperband.get("MaxResource") or epochs(part.static)
        if not most:
            raise invalid(
                "MaxResource of HyperbandStrategyConfig is missing; set it, or set the epochs by a static hyperparameter: "
                f"one of {', '.join(EPOCHS)}"
            )
        if most > LONGEST:
            raise invalid(f"MaxResource of HyperbandStrategyConfig is {most}; at most {LONGEST} is allowed")
        if hyperband.get("MinResource", 1) > most:
            raise invalid(
                f"MinResource of HyperbandStrategyConfig, {hyperband['MinResource']}, is greater than MaxResource, {most}"
            )


def trained(request: Request) -> None:
    """Check that CreateTrainingJob would accept the training jobs."""
    for part in parts(request):
        probe = training_request(part, "probe", _some(part), {})
        shapes.check("CreateTrainingJob", probe)
        for rule in TRAINING:
            rule(probe)


def _some(part: Part) -> dict[str, str]:
    return {parameter.name: (parameter.values or ("0",))[0] for parameter in part.parameters}


def _definitions(request: Request) -> list[dict[str, Any]]:
    single = request.get("TrainingJobDefinition")
    return [*([single] if single else []), *(request.get("TrainingJobDefinitions") or [])]


RULES = (emulated, definitions, resources, searched, strategy, trained)
