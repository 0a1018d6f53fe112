"""Rules of CreateTransformJob that the API model does not have. Sources: API is the model's own text, G23 the guide's page."""

from typing import Any

from local_test.sagemaker.errors import invalid, not_emulated
from local_test.sagemaker.transform import json_path
from local_test.sagemaker.transform.processing import CSV, LINES, TYPES, media_type

Request = dict[str, Any]
LARGEST = 100  # the most MB of a payload, and of all payloads at one time (API, MaxPayloadInMB)
INSTANCES = 100  # API, TransformResources.InstanceCount


def emulated(request: Request) -> None:
    """Refuse members that the emulator does not support, and name them."""
    for member in ("DataCaptureConfig", "ExperimentConfig"):
        if request.get(member):
            raise not_emulated(f"CreateTransformJob with {member}")
    if request.get("MaxPayloadInMB") == 0:
        raise not_emulated("CreateTransformJob with MaxPayloadInMB 0 (chunked bodies of any size)")
    if request["TransformInput"].get("SplitType") in ("RecordIO", "TFRecord"):
        processing = request.get("DataProcessing") or {}
        if any(processing.values()):
            raise invalid("DataProcessing takes JSON and CSV alone, and SplitType is RecordIO or TFRecord")


def source(request: Request) -> None:
    """Check that S3DataType is S3Prefix or ManifestFile (API, TransformS3DataSource.S3DataType)."""
    kind = request["TransformInput"]["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        raise invalid(f"the S3DataType {kind} is not compatible with batch transform; use S3Prefix or ManifestFile")


def limits(request: Request) -> None:
    """Check the limits: 100 MB for MaxPayloadInMB and for its product with MaxConcurrentTransforms, and 100 instances.

    Sources: API, MaxPayloadInMB and TransformResources.InstanceCount.
    """
    payload, concurrent = request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms")
    if payload is not None and payload > LARGEST:
        raise invalid(f"MaxPayloadInMB is {payload}; at most {LARGEST} is allowed")
    if payload and concurrent and payload * concurrent > LARGEST:
        raise invalid(
            f"MaxConcurrentTransforms * MaxPayloadInMB is {payload * concurrent}; it cannot exceed {LARGEST} MB"
        )
    if request["TransformResources"]["InstanceCount"] > INSTANCES:
        raise invalid(
            f"InstanceCount is {request['TransformResources']['InstanceCount']}; at most {INSTANCES} is allowed"
        )


def processing(request: Request) -> None:
    """Check that data to filter or join are JSON or CSV by ContentType and Accept, and CSV in lines.

    Source: G23 batch-transform-data-processing.
    """
    wanted = request.get("DataProcessing") or {}
    filters = [wanted.get("InputFilter"), wanted.get("OutputFilter")]
    for text in filters:
        if text:
            json_path.parse(text)
    if wanted.get("JoinSource", "None") == "None" and set(filters) <= {None, "", "$"}:
        return
    given, answered = request["TransformInput"], request["TransformOutput"]
    sent, accepted = media_type(given.get("ContentType")), media_type(answered.get("Accept"))
    for member, value in (("ContentType", sent), ("Accept", accepted)):
        if value not in TYPES:
            raise invalid(f"DataProcessing needs a {member} of {', '.join(TYPES)}, and it is '{value}'")
    if (sent == CSV) != (accepted == CSV):
        raise not_emulated(f"DataProcessing of the ContentType {sent} with the Accept {accepted}")
    by_line = given.get("SplitType") == "Line", answered.get("AssembleWith") == "Line"
    if sent == CSV and by_line != (True, True):
        raise invalid("DataProcessing of text/csv needs SplitType Line and AssembleWith Line")
    if sent == LINES and by_line[0] != by_line[1]:
        raise invalid(
            "DataProcessing of application/jsonlines needs SplitType and AssembleWith that are both Line, or neither"
        )


RULES = (emulated, source, limits, processing)
