"""Other uses of the serving image: batch transform and multi-model endpoints."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_test.contract import bodies, images
from local_test.contract.clause import BATCH, MULTI_MODEL, OWN, clause
from local_test.contract.containers import ROOT
from local_test.contract.platforms import Batch, MultiModel, Platform

Seen = Callable[[str], None]


@pytest.fixture(scope="module")
def batch(platform: Platform, model: Path) -> Iterator[Batch]:
    with platform.batch(model) as started:
        yield started


@clause("in batch transform a body below SAGEMAKER_MAX_PAYLOAD_IN_MB is answered", BATCH)
def test_batch_takes_the_payload_that_the_platform_names(batch: Batch, photo: bytes, seen: Seen) -> None:
    answer = batch.transform(bodies.padded(photo, 45_000_000), "image/jpeg")
    seen(f"45 MB of 50: {answer.brief()}")
    assert answer.status == 200


@clause("if GET /execution-parameters is answered, concurrency times payload is at most 100 MB", BATCH)
def test_execution_parameters_are_sound(batch: Batch, seen: Seen) -> None:
    answer = batch.execution_parameters()
    seen(answer.brief() if answer.status != 200 else answer.text[:120])
    if answer.status == 404:
        pytest.skip("the image has no /execution-parameters, which the platform allows")
    value = answer.json
    assert answer.status == 200 and isinstance(value, dict), "no JSON object"
    assert value["BatchStrategy"] in ("SINGLE_RECORD", "MULTI_RECORD")
    assert value["MaxConcurrentTransforms"] >= 1
    assert value["MaxConcurrentTransforms"] * value["MaxPayloadInMB"] <= 100, "over 100 MB"


@pytest.fixture(scope="module")
def multi(
    platform: Platform, image: str, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MultiModel]:
    """A multi-model endpoint with two good models and a bad one on its disk. At the start no model is loaded."""
    if not images.label(image, "multi-models"):
        pytest.skip("no label com.amazonaws.sagemaker.capabilities.multi-models=true")
    folder = tmp_path_factory.mktemp("models")
    for name in ("a" * 40, "b" * 40):
        shutil.copytree(model, folder / name / "model")
    (folder / "bad" / "model").mkdir(parents=True)
    (folder / "bad" / "model" / "weights.bin").write_bytes(b"no model")
    with platform.multi_model(folder) as started:
        yield started


@clause("POST /models loads a model and answers 200 when the model can be invoked; a second load gets 409", MULTI_MODEL)
def test_a_model_is_loaded_once(multi: MultiModel, photo: bytes, seen: Seen) -> None:
    assert multi.names() == [], "there are models before the first is loaded"
    first, again = multi.load("a" * 40), multi.load("a" * 40)
    answer = multi.invoke_model("a" * 40, photo, "image/jpeg")
    seen(f"load {first.status}, again {again.status}, invoke {answer.status}")
    assert (first.status, again.status, answer.status) == (200, 409, 200), answer.brief()


@clause(
    "GET /models lists the name and URL of each loaded model; GET /models/NAME gives those of one, or 404 if it is not loaded",
    MULTI_MODEL,
)
def test_loaded_models_are_listed(multi: MultiModel, seen: Seen) -> None:
    multi.have("a" * 40, "b" * 40)
    one, missing = multi.get(f"/models/{'b' * 40}"), multi.get("/models/unheard-of")
    seen(f"listed: {len(multi.names())}; one: {one.text.strip()[:120]}; not loaded: {missing.status}")
    assert sorted(multi.names()) == ["a" * 40, "b" * 40]
    assert isinstance(one.json, dict), "the answer to GET /models/NAME is not a JSON object"
    assert one.json.get("modelUrl") == f"{ROOT}/{'b' * 40}/model" and one.json.get("modelName") == "b" * 40
    assert missing.status == 404


@clause("DELETE /models/NAME unloads a model with 200; after that, to invoke or delete the model gets 404", MULTI_MODEL)
def test_a_model_is_unloaded(multi: MultiModel, photo: bytes, seen: Seen) -> None:
    multi.have("b" * 40)
    first, again = multi.unload("b" * 40), multi.unload("b" * 40)
    answer = multi.invoke_model("b" * 40, photo, "image/jpeg")
    seen(f"delete {first.status}, again {again.status}, invoke {answer.status}")
    assert (first.status, again.status, answer.status) == (200, 404, 404)


@clause("the memory of a model is free when DELETE /models/NAME returns", MULTI_MODEL)
def test_unloading_frees_the_memory(multi: MultiModel, photo: bytes, seen: Seen) -> None:
    multi.unload("b" * 40)
    before = multi.memory()
    multi.have("b" * 40)
    multi.invoke_model("b" * 40, photo, "image/jpeg")
    loaded = multi.memory()
    multi.unload("b" * 40)
    after = multi.memory()
    seen(f"resident: {before:.0f} MB, with the model {loaded:.0f}, then {after:.0f}")
    assert after - before < 0.5 * (loaded - before), "most of the model's memory is still in use"


@clause("a model that cannot be served is refused when it is loaded", OWN)
def test_a_bad_model_is_refused_at_load(multi: MultiModel, photo: bytes, seen: Seen) -> None:
    bad, missing = [multi.load_and_invoke(name, photo, "image/jpeg") for name in ("bad", "unheard-of")]
    seen(f"no model inside {bad.brief()}, no folder {missing.brief()}")
    assert bad.status >= 400 and missing.status >= 400, "the load is answered with 200"
    again = [multi.invoke_model(name, photo, "image/jpeg") for name in ("bad", "unheard-of")]
    assert all(answer.status >= 400 for answer in again), "a refused model is loaded"


@clause("models are loaded only from /opt/ml/models, not from another path or an address", OWN)
def test_models_come_from_their_folder_alone(multi: MultiModel, seen: Seen) -> None:
    # The address is a closed port inside the container.
    places = ("/etc", f"{ROOT}/../../../etc", "http://127.0.0.1:9/model.mar", f"{ROOT}/{'b' * 40}/model/../../bad")
    found = {place: multi.load(f"stray-{number}", place) for number, place in enumerate(places)}
    seen(", ".join(f"{place} {answer.status}" for place, answer in found.items()))
    assert all(400 <= answer.status < 500 for answer in found.values()), "not refused with a 4xx"
    # If the server looked at the path or address, its answer would name what it found there.
    told = [
        answer for answer in found.values() if "refused" in answer.text.lower() and "connection" in answer.text.lower()
    ]
    assert not told, "the server tried to connect to the address"


@clause("after loads, unloads and refused loads, /ping answers 200 and another model still answers", MULTI_MODEL)
def test_other_models_are_unharmed(multi: MultiModel, photo: bytes, seen: Seen) -> None:
    multi.have("a" * 40)
    answer = multi.invoke_model("a" * 40, photo, "image/jpeg")
    seen(f"invoke {answer.brief()}; {multi.healthy()}")
    assert answer.status == 200
