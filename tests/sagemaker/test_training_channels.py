"""The channels of a training job: which objects a container finds, where, and in which input mode."""

import gzip
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sagemaker.conftest import Emulator
from tests.sagemaker.training import channel, create, run, showing


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    yield from showing(tmp_path_factory.mktemp("shown"))


def test_files_are_below_the_channel_as_their_keys_go_on_behind_the_prefix(shown: Emulator) -> None:
    channels = [
        channel("slash", "s3://data/set/"),
        channel("bare", "s3://data/set"),
        channel("name", "s3://data/other/"),
    ]
    [host] = run(shown, "files", *channels)
    below = {"a/1": "one", "a/2": "two", "b/3": "three", "4": "four"}
    expected = {f"{name}/{key}": text for name in ("slash", "bare") for key, text in below.items()}
    assert host["files"] == {**expected, "name/5": "five"}
    assert host["channels"]["slash"] == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }


def test_a_manifest_names_the_objects(shown: Emulator) -> None:
    [host] = run(shown, "manifest", channel("named", "s3://data/manifest", kind="ManifestFile"))
    assert host["files"] == {"named/set/a/2": "two", "named/other/5": "five"}


def test_shards_share_the_objects_out_and_replicas_have_them_all(shown: Emulator) -> None:
    shard = channel("part", "s3://data/set/", source={"S3DataDistributionType": "ShardedByS3Key"})
    hosts = run(shown, "shards", shard, channel("whole", "s3://data/other/"), hosts=2)
    assert [host["hosts"][1] for host in hosts] == [["127.0.0.1", "127.0.0.2"]] * 2
    parts = [{name for name in host["files"] if name.startswith("part/")} for host in hosts]
    assert [len(part) for part in parts] == [2, 2] and not parts[0] & parts[1]
    assert all("whole/5" in host["files"] for host in hosts)


def test_a_fast_file_channel_cannot_be_written_to(shown: Emulator) -> None:
    [host] = run(
        shown, "fast", channel("fast", "s3://data/set/", "FastFile"), channel("file", "s3://data/set/"), do="write"
    )
    if "is copied" in shown.output.read_text():
        pytest.skip("this machine has no mount namespaces, so the emulator copies the channel and reports that")
    assert (host["fast"], host["file"]) == ("Read-only file system", "written")
    [host] = run(shown, "fast-files", channel("fast", "s3://data/other/", "FastFile"))
    assert host["files"] == {"fast/5": "five"}


def test_a_pipe_gives_the_data_again_in_each_epoch(shown: Emulator) -> None:
    s3 = shown.client("s3")
    s3.put_object(Bucket="data", Key="packed/1", Body=gzip.compress(b"packed"))
    channels = [
        channel("plain", "s3://data/set/a/", "Pipe"),
        channel("zipped", "s3://data/packed/", "Pipe", CompressionType="Gzip"),
        channel("records", "s3://data/other/", "Pipe", RecordWrapperType="RecordIO"),
    ]
    [host] = run(shown, "pipes", *channels, do="pipe", settings={"epochs": "2"})
    record = struct.pack("<II", 0xCED7230A, 4) + b"five"
    expected = {"plain": "onetwo", "zipped": "packed", "records": record.decode("latin-1")}
    assert host["epoch-0"] == host["epoch-1"] == expected


def test_a_shuffled_pipe_orders_each_epoch_differently(shown: Emulator) -> None:
    s3 = shown.client("s3")
    for number in range(20):
        s3.put_object(Bucket="data", Key=f"many/{number:02}", Body=f"{number:02} ".encode())
    shuffled = channel("many", "s3://data/many/", "Pipe", ShuffleConfig={"Seed": random.getrandbits(32)})
    [host] = run(shown, "shuffled", shuffled, do="pipe", settings={"epochs": "2"})
    orders = [host[f"epoch-{epoch}"]["many"].split() for epoch in range(2)]
    assert sorted(orders[0]) == sorted(orders[1]) == [f"{number:02}" for number in range(20)]
    assert orders[0] != orders[1]


def test_an_augmented_manifest_comes_as_records_in_the_order_of_its_attributes(shown: Emulator) -> None:
    lines = [{"source-ref": "s3://data/other/5", "label": 7}, {"label": 8, "source-ref": "s3://data/set/4"}]
    shown.client("s3").put_object(Bucket="data", Key="augmented", Body="\n".join(map(json.dumps, lines)).encode())
    source = {"AttributeNames": ["source-ref", "label"]}
    more: dict[str, Any] = {"source": source, "RecordWrapperType": "RecordIO"}
    augmented = channel("seen", "s3://data/augmented", "Pipe", "AugmentedManifestFile", **more)
    [host] = run(shown, "augmented", augmented, do="pipe", settings={"epochs": "1"})
    content = host["epoch-0"]["seen"].encode("latin-1")
    found = []
    while content:
        length = struct.unpack_from("<II", content)[1]
        found.append(content[8 : 8 + length])
        content = content[8 + length + -length % 4 :]
    assert found == [b"five", b"7", b"four", b"8"]


@pytest.mark.parametrize(
    "wrong",
    [
        channel("c", "s3://data/manifest", "FastFile", "ManifestFile"),
        channel("c", "s3://data/set/", CompressionType="Gzip"),
        channel("c", "s3://data/set/", RecordWrapperType="RecordIO"),
        channel("c", "s3://data/manifest", "File", "AugmentedManifestFile"),
        channel("c", "s3://data/augmented", "Pipe", "AugmentedManifestFile"),
        channel("c", "s3://data/se"),
        channel("c", "s3://nowhere/set/"),
    ],
)
def test_a_channel_that_the_platform_does_not_bring_is_refused(shown: Emulator, wrong: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        create(shown, "refused", wrong)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
