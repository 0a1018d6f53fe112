"""Training while something is missing: network, write permission, the root user, shared memory."""

from collections.abc import Callable

from local_test.contract.clause import API, CONFIGURATION, LOCAL_MODE, OWN, clause
from local_test.contract.conditions import ISOLATED, Conditions
from local_test.contract.job import Ended, Job
from local_test.contract.platforms import Platform

Seen = Callable[[str], None]
MakeJob = Callable[..., Job]


@clause("trains without any network, as with EnableNetworkIsolation", API.format("CreateTrainingJob"))
def test_trains_without_a_network(platform: Platform, job: MakeJob, seen: Seen) -> None:
    seen(platform.run(job(), ISOLATED).succeeded())


@clause("trains from read-only folders, as those of a FastFile channel are", CONFIGURATION)
def test_trains_from_read_only_channels(platform: Platform, job: MakeJob, seen: Seen) -> None:
    seen(platform.run(job(input_mode="FastFile")).succeeded())


@clause("trains with 64 MB of shared memory, which is all that local mode gives", LOCAL_MODE)
def test_trains_with_64_mb_of_shared_memory(trained: Ended, seen: Seen) -> None:
    seen(trained.succeeded())
    assert "bus error" not in trained.log.lower(), "bus error"


@clause("trains as an ordinary user who has no entry in the image's /etc/passwd", OWN)
def test_trains_as_an_ordinary_user(platform: Platform, job: MakeJob, seen: Seen) -> None:
    seen(platform.run(job(), Conditions(options=("--user", "12345:12345"))).succeeded())


@clause("trains on a read-only root file system with a writable /tmp", OWN)
def test_trains_on_a_read_only_root(platform: Platform, job: MakeJob, seen: Seen) -> None:
    seen(platform.run(job(), Conditions(options=("--read-only", "--tmpfs", "/tmp"))).succeeded())
