"""build_and_push.sh for real: the AWS command line against a stand-in for AWS, Docker against a registry with a password."""

import json
import subprocess

import pytest

from tests.registry import TOKEN, Place, sentence

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def pushed(place: Place) -> "subprocess.CompletedProcess[str]":
    done = place.push("--device", "cpu", "--region", "us-east-1")
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    return done


def test_missing_repositories_are_made_with_fixed_tags_scan_and_lifecycle(
    place: Place, pushed: "subprocess.CompletedProcess[str]"
) -> None:
    found = place.aws("ecr", "describe-repositories")["repositories"]
    assert isinstance(found, list)
    assert {repository["repositoryName"] for repository in found} == {"byoc-classifier-train", "byoc-classifier-serve"}
    for repository in found:
        assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        assert repository["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "latest*"}]
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
        rules = place.aws("ecr", "get-lifecycle-policy", "--repository-name", repository["repositoryName"])
        assert "untagged" in str(rules["lifecyclePolicyText"])


def test_both_images_get_version_revision_and_latest_and_no_password_is_printed(
    place: Place, pushed: "subprocess.CompletedProcess[str]"
) -> None:
    revision = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=place.checkout, capture_output=True, text=True, check=True
    ).stdout.strip()
    for program in ("train", "serve"):
        image = place.images()[program]
        assert image["tags"] == [f"{image['version']}-cpu", f"{revision}-cpu", "latest-cpu"]
        assert image["uri"] == f"{place.registry}/byoc-classifier-{program}@{image['digest']}"
        for tag in ("latest-cpu", f"{revision}-cpu"):
            assert f"byoc-classifier-{program}:{tag} {image['digest']}" in pushed.stdout
    assert TOKEN not in pushed.stdout + pushed.stderr


def test_a_second_push_gives_the_same_digests_and_what_is_pulled_back_is_the_image(
    place: Place, pushed: "subprocess.CompletedProcess[str]"
) -> None:
    first = place.images()
    again = place.push("--device", "cpu", "--region", "us-east-1")
    assert again.returncode == 0, again.stderr
    assert place.images() == first
    docker = lambda *words: subprocess.run(  # noqa: E731
        ["docker", *words], env=place.environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    for program in ("train", "serve"):
        uri, local = str(first[program]["uri"]), f"byoc-classifier-{program}:cpu"
        docker("pull", "--quiet", uri)
        assert docker("image", "inspect", "--format", "{{.Id}}", uri) == docker(
            "image", "inspect", "--format", "{{.Id}}", local
        )


def test_a_version_that_ecr_holds_with_another_image_is_refused(
    place: Place, pushed: "subprocess.CompletedProcess[str]"
) -> None:
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "config": {"digest": "sha256:" + "0" * 64}, "layers": []}
    )
    put = ("ecr", "put-image", "--repository-name", "byoc-classifier-serve", "--image-tag", "taken")
    place.aws(*put, "--image-manifest", manifest)
    said = sentence(place.push("serve", "--device", "cpu", "--region", "us-east-1", "--tag", "taken"))
    assert "byoc-classifier-serve:taken names another image already" in said and "pass another --tag" in said


def test_a_dry_run_changes_nothing(place: Place) -> None:
    done = place.push("--device", "cpu", "--region", "eu-west-1", "--dry-run", ECR_REGISTRY="")
    assert done.returncode == 0, done.stderr
    assert "would create the repository byoc-classifier-train in eu-west-1" in done.stdout
    assert "would push 123456789012.dkr.ecr.eu-west-1.amazonaws.com/byoc-classifier-serve" in done.stdout
    assert all(line.startswith("push: would ") for line in done.stdout.splitlines())


def test_another_registry_needs_no_aws(place: Place, pushed: "subprocess.CompletedProcess[str]") -> None:
    other = {"REGISTRY": f"{place.registry}/team", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = place.push("serve", "--device", "cpu", **other)
    assert done.returncode == 0, done.stderr
    assert str(place.images()["serve"]["uri"]).startswith(f"{place.registry}/team/byoc-classifier-serve@sha256:")
    assert "cannot be reached" in sentence(place.push("serve", "--device", "cpu", REGISTRY="127.0.0.1:9"))
