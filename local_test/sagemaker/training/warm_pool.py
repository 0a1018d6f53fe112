"""Warm pools: a job with KeepAlivePeriodInSeconds leaves a folder to the next job that matches it (C 1.5). A job finds the
folder in SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY (developer guide, Train Using SageMaker Managed Warm Pools). Containers are
not kept; each job starts new ones.
"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_test.sagemaker.cloud import Cloud
from local_test.sagemaker.machine import Mount
from local_test.sagemaker.store import Resource
from local_test.sagemaker.training.layout import OPT_ML

CACHE = OPT_ML / "sagemaker" / "warmpoolcache"
VARIABLE = "SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"
KIND = "training-job"
STEP = 0.2  # seconds between two checks whether a pool has ended


def keep_alive(request: Mapping[str, Any]) -> int:
    return int(request["ResourceConfig"].get("KeepAlivePeriodInSeconds") or 0)


def enter(cloud: Cloud, resource: Resource) -> tuple[Mount, ...]:
    """Give a job that needs a pool another job's matching pool, or a new one. Return the mounts of its containers."""
    if not keep_alive(resource.request):
        return ()
    folder = _folder(cloud, resource)
    for other in cloud.store.all(KIND):
        if _status(other) == "Available" and _matching(other.request) == _matching(resource.request):
            with cloud.store.changing(other) as state:
                if state["WarmPoolStatus"]["Status"] != "Available":
                    continue
                state["WarmPoolStatus"] |= {"Status": "Reused", "ReusedByJob": resource.name}
            _folder(cloud, other).rename(folder)
            break
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    cloud.store.update(resource, WarmPoolStatus={"Status": "InUse"})
    return (Mount(folder, CACHE),)


def leave(cloud: Cloud, resource: Resource) -> None:
    """Let a job's pool wait for the next job; it also survives a failure of the program (C 1.5)."""
    if _status(resource) != "InUse":
        return
    cloud.store.update(resource, WarmPoolStatus={"Status": "Available", "ResourceRetainedBillableTimeInSeconds": 0})
    began = time.time()

    def expire() -> None:
        while _status(resource) == "Available" and time.time() - began < keep_alive(resource.request):
            if cloud.background.ending.wait(STEP):
                break
        with cloud.store.changing(resource) as state:
            pool = state["WarmPoolStatus"]
            pool["ResourceRetainedBillableTimeInSeconds"] = round(time.time() - began)
            if pool["Status"] == "Available":
                pool["Status"] = "Terminated"
                shutil.rmtree(_folder(cloud, resource), ignore_errors=True)

    cloud.background.start(f"warm pool {resource.name}", expire)


def end_left(cloud: Cloud, resource: Resource) -> None:
    """End the pool that a killed emulator left."""
    if _status(resource) in ("Available", "InUse"):
        shutil.rmtree(_folder(cloud, resource), ignore_errors=True)
        cloud.store.update(resource, WarmPoolStatus={"Status": "Terminated"})


def _status(resource: Resource) -> str | None:
    pool: dict[str, str] = resource.state.get("WarmPoolStatus", {})
    return pool.get("Status")


def _folder(cloud: Cloud, resource: Resource) -> Path:
    return cloud.settings.data / "pools" / resource.name


def _matching(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the members of a request that must be equal in two jobs that use the same pool."""
    resources = request["ResourceConfig"]
    machines = [resources.get(name) for name in ("InstanceCount", "InstanceType", "VolumeKmsKeyId", "VolumeSizeInGB")]
    flags = [bool(request.get(name)) for name in ("EnableInterContainerTrafficEncryption", "EnableNetworkIsolation")]
    return request["RoleArn"], *machines, request.get("VpcConfig"), *flags
