"""SDK v2's Model, Predictor and AsyncPredictor, unchanged, beside an emulator."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import ROOT

BYOC = Path(sys.executable).parent / "byoc"
SDK = ROOT / ".venv-sdk" / "bin" / "python"
PROGRAMS = Path(__file__).parent / "programs"
# The script uses wait=False and boto3's waiter, because deploy polls only every 30 s.
CODE = """
    import io, json, tarfile
    import boto3
    import sagemaker
    from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
    from sagemaker.deserializers import JSONDeserializer
    from sagemaker.model import Model
    from sagemaker.predictor import Predictor
    from sagemaker.predictor_async import AsyncPredictor
    from sagemaker.serializers import JSONSerializer

    session = sagemaker.Session()
    client = session.sagemaker_client
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("name")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"first"))
    bucket = session.default_bucket()
    boto3.client("s3").put_object(Bucket=bucket, Key="m/model.tar.gz", Body=packed.getvalue())

    def model():
        return Model(
            "byoc-classifier-serve:cpu",
            model_data=f"s3://{bucket}/m/model.tar.gz",
            role="arn:aws:iam::123456789012:role/service-role/local",
            sagemaker_session=session,
            predictor_cls=Predictor,
        )

    def wait(name):
        client.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})

    predictor = model().deploy(1, "ml.m5.large", endpoint_name="now", wait=False)
    wait("now")
    predictor.serializer, predictor.deserializer = JSONSerializer(), JSONDeserializer()
    print("predicted", predictor.predict({"do": "show"})["name"])
    predictor.update_endpoint(initial_instance_count=2, instance_type="ml.m5.large", wait=False)
    wait("now")
    print("instances", client.describe_endpoint(EndpointName="now")["ProductionVariants"][0]["CurrentInstanceCount"])

    paths = AsyncInferenceConfig(output_path=f"s3://{bucket}/out", failure_path=f"s3://{bucket}/failed")
    model().deploy(1, "ml.m5.large", endpoint_name="later", async_inference_config=paths, wait=False)
    wait("later")
    waiting = AsyncPredictor(Predictor("later", session, JSONSerializer(), JSONDeserializer()))
    answer = waiting.predict_async({"do": "show"}).get_result(WaiterConfig(max_attempts=300, delay=1))
    print("answered", answer["name"])

    predictor.delete_endpoint()
    waiting.delete_endpoint()
    client.get_waiter("endpoint_deleted").wait(EndpointName="later", WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    print("left", len(client.list_endpoints(NameContains="later")["Endpoints"]), flush=True)
    import os
    os._exit(0)  # predict_async leaves threads that wait for the failure path
"""


@pytest.mark.slow
def test_the_sdk_deploys_predicts_updates_and_deletes(tmp_path: Path) -> None:
    assert SDK.exists(), f"{SDK} is missing; make it: make .venv-sdk/.ready"
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(CODE))
    done = subprocess.run(
        [BYOC, "emulate", "--data", tmp_path / "data", "--run", "process", "--programs", PROGRAMS, "--", SDK, script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = [
        line for line in done.stdout.splitlines() if line.split()[0] in ("predicted", "instances", "answered", "left")
    ]
    assert shown == ["predicted first", "instances 2", "answered first", "left 0"]
