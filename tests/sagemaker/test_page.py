"""The page at /_local/, over HTTP like a browser: its content, its forms, and hostile names."""

import http.client
import json
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest

from tests.sagemaker.conftest import ROLE, Emulator, emulate, ended
from tests.sagemaker.hosting import Hosting
from tests.sagemaker.others import describe

PROGRAMS = Path(__file__).parent / "programs"
HOSTILE = "<script>alert('x')</script>&\"'"
TUNING_JOB = "hyper-parameter-tuning-job"
TUNING = {
    "HyperParameterTuningJobName": "tuned",
    "HyperParameterTuningJobConfig": {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "never"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
        "ParameterRanges": {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.1", "MaxValue": "0.2"}]},
    },
    "TrainingJobDefinition": {
        "StaticHyperParameters": {"do": "list"},
        "AlgorithmSpecification": {
            "TrainingImage": "byoc-classifier-train",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "never", "Regex": "never=([0-9]+)"}],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://data/out/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    },
}
KEYS = [f"folder/{HOSTILE}", 'quote" onclick="x', "a b/ä+%2F?#.txt", "plain", "../x"]


@dataclass
class Page(HTMLParser):
    """The parts that a browser would find in a page."""

    elements: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    refresh: str | None = None
    attributes: set[str] = field(default_factory=set)
    words: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append(tag)
        self.attributes |= found.keys()
        if tag == "a":
            self.links.append(found["href"])
        elif tag == "form":
            self.forms.append((found["action"], {}))
        elif tag == "input":
            self.forms[-1][1][found["name"]] = found.get("value", "")
        elif tag == "meta" and found.get("http-equiv") == "refresh":
            self.refresh = found["content"]

    def handle_data(self, data: str) -> None:
        if "style" not in self.elements[-1:]:
            self.words += data


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, fake_keys: None) -> Iterator[Emulator]:
    """An emulator whose training image holds a program that prints its inputs."""
    running = emulate(tmp_path_factory.mktemp("page") / "data", "--hold", "20", "--programs", str(PROGRAMS))
    s3 = running.client("s3")
    s3.create_bucket(Bucket="data")
    for key in KEYS:
        s3.put_object(Bucket="data", Key=key, Body=b"1")
    yield running
    assert running.end() == 130, running.output.read_text()
    assert not list((running.data / "work").iterdir()), "a finished program has left files"


def create(shown: Emulator, name: str, **changes: Any) -> Any:
    """Create a job of that program and return the client."""
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": "byoc-classifier-train", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://data/out/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    } | changes
    client = shown.client("sagemaker")
    client.create_training_job(**request)
    return client


def get(shown: Emulator, path: str = "/_local/", **headers: str) -> tuple[Any, str]:
    """Return the response to a request as a browser sends it, and its text."""
    request = urllib.request.Request(urljoin(shown.url, path), headers={"Accept": "text/html", **headers})
    with urllib.request.urlopen(request) as response:
        return response, response.read().decode()


def page(shown: Emulator, path: str = "/_local/") -> Page:
    response, text = get(shown, path)
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    found = Page()
    found.feed(text)
    return found


def post(shown: Emulator, path: str, fields: dict[str, str], **headers: str) -> tuple[int, str, str | None]:
    """Send a form and return the status, the text and the address of the redirect."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    with closing(http.client.HTTPConnection(shown.url.removeprefix("http://"))) as connection:
        connection.request("POST", path, urlencode(fields), {**kind, **headers})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers["Location"]


def overview(shown: Emulator) -> Any:
    return json.loads(get(shown, "/_local/?format=json")[1])


def job(shown: Emulator, name: str) -> Any:
    return next(entry for entry in overview(shown)["entries"]["training-job"] if entry["name"] == name)


def test_it_says_its_address_when_it_starts(shown: Emulator) -> None:
    assert f"{shown.url}/_local/ shows" in shown.output.read_text()


def test_an_ended_job_is_shown_with_its_metrics_its_tags_and_its_log(shown: Emulator) -> None:
    algorithm = {
        "TrainingImage": "byoc-classifier-train",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "value", "Regex": "SEEN=([0-9.]+)"}],
    }
    client = create(
        shown,
        "ended",
        AlgorithmSpecification=algorithm,
        HyperParameters={"do": "variables"},
        Environment={"LINE": "SEEN=0.25 <b>bold</b> \x1b[31m"},
        Tags=[{"Key": "project", "Value": "photos"}],
    )
    ended(client, "ended")
    entry = job(shown, "ended")
    assert (entry["status"], entry["metrics"], entry["tags"]) == ("Completed", {"value": 0.25}, {"project": "photos"})
    assert entry["created"] <= entry["ended"] and entry["failure_reason"] == ""
    found = page(shown)
    assert "/_local/logs/training-job/ended" in found.links
    assert all(word in found.words for word in ("ended", "Completed", "value 0.25", "project=photos"))
    response, text = get(shown, "/_local/logs/training-job/ended")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "==> ended/algo-1-" in text and "SEEN=0.25 <b>bold</b>" in text and "\x1b" not in text
    assert get(shown, "/_local/logs/training-job/ended?lines=1")[1].count("\n") == 2


def test_endpoints_and_tuning_and_transform_jobs_are_shown_with_their_logs(shown: Emulator) -> None:
    hosting = Hosting(shown)
    hosting.s3.create_bucket(Bucket="models")
    hosting.endpoint("served", {"ModelName": hosting.model("model")})
    hosting.sagemaker.create_transform_job(
        TransformJobName="transformed",
        ModelName="model",
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/plain"}}},
        TransformOutput={"S3OutputPath": "s3://data/transformed"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    hosting.sagemaker.create_hyper_parameter_tuning_job(**TUNING)
    for kind, name in (("transform_job", "transformed"), ("hyper_parameter_tuning_job", "tuned")):
        describe(hosting, kind, name)  # is answered when the job has ended
    entries = overview(shown)["entries"]
    [endpoint], [transform], [tuning] = (entries[kind] for kind in ("endpoint", "transform-job", TUNING_JOB))
    assert (endpoint["status"], endpoint["faults"]) == ("InService", ["kill-container"])
    assert endpoint["details"] == {"EndpointConfigName": "served", "variant AllTraffic": "weight 1.0, instances 1"}
    assert transform["ended"] and transform["details"] == {"ModelName": "model"}
    assert (tuning["status"], len(tuning["training_jobs"])) == ("Failed", 1) and tuning["failure_reason"]
    links = page(shown).links
    assert "/_local/logs/endpoint/served" in links and "/_local/logs/transform-job/transformed" in links
    assert f"/_local/logs/training-job/{tuning['training_jobs'][0]}" in links
    assert "==> AllTraffic/i-" in get(shown, "/_local/logs/endpoint/served")[1]
    assert "==> transformed/" in get(shown, "/_local/logs/transform-job/transformed")[1]
    hosting.sagemaker.delete_endpoint(EndpointName="served")


def test_the_page_takes_the_width_of_a_phone_and_the_colours_of_a_dark_screen(shown: Emulator) -> None:
    _, text = get(shown)
    assert '<meta name="viewport" content="width=device-width">' in text
    assert "color-scheme: light dark" in text and "@media (max-width: " in text


def test_hostile_texts_stay_texts(shown: Emulator) -> None:
    client = create(shown, "hostile", HyperParameters={"do": "fail", "text": HOSTILE})
    ended(client, "hostile")
    assert HOSTILE in job(shown, "hostile")["failure_reason"]
    assert post(shown, "/_local/order", {"kind": "s3-slow", "target": HOSTILE})[0] == 303
    inner = urlencode({"prefix": f"folder/{HOSTILE}".rpartition("/")[0] + "/"})
    for path in ("/_local/", "/_local/s3/data", f"/_local/s3/data?{inner}"):
        response, text = get(shown, path)
        found = Page()
        found.feed(text)
        assert "script" not in found.elements and not {name for name in found.attributes if name.startswith("on")}
        assert "script-src" not in response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert path == "/_local/s3/data" or HOSTILE in found.words
    assert post(shown, "/_local/clear", {})[0] == 303


def test_an_object_that_a_browser_opens_cannot_use_the_page(shown: Emulator) -> None:
    s3 = shown.client("s3")
    s3.create_bucket(Bucket="pages")
    s3.put_object(Bucket="pages", Key="x.html", Body=b"<script>1</script>", ContentType="text/html")
    signed = s3.generate_presigned_url("get_object", Params={"Bucket": "pages", "Key": "x.html"})
    response, text = get(shown, signed)
    assert text == "<script>1</script>" and response.headers["Content-Security-Policy"] == "sandbox"
    answer = s3.get_object(Bucket="pages", Key="x.html")["ResponseMetadata"]["HTTPHeaders"]
    assert "content-security-policy" not in answer


def test_a_bucket_is_listed_by_folders_and_pages(shown: Emulator) -> None:
    s3 = shown.client("s3")
    s3.create_bucket(Bucket="many")
    for number in range(201):
        s3.put_object(Bucket="many", Key=f"f&+ä/{number:03d}", Body=b"1")
    [folder] = [link for link in page(shown, "/_local/s3/many").links if "prefix" in link]
    first = page(shown, folder)
    assert "s3://many/f&+ä/" in first.words and "f&+ä/199" in first.words and "f&+ä/200" not in first.words
    [after] = [link for link in first.links if "after" in link]
    second = page(shown, after)
    assert "f&+ä/200" in second.words and "f&+ä/199" not in second.words
    assert not [link for link in second.links if "after" in link]


def test_every_link_of_the_page_leads_somewhere(shown: Emulator) -> None:
    seen: set[str] = set()
    todo = ["/_local/?refresh=0"]
    while todo:
        path = todo.pop()
        seen.add(path)
        response, _ = get(shown, path)
        if response.headers["Content-Type"].startswith("text/html"):
            todo += [link for link in page(shown, path).links if link not in seen]
    assert {"/_local/order?refresh=0", "/_local/s3/data?refresh=0", "/_local/?format=json"} <= seen


def test_a_program_gets_json(shown: Emulator) -> None:
    response, text = get(shown, Accept="application/json")
    assert response.headers["Content-Type"] == "application/json"
    assert {"region", "entries", "buckets", "faults"} <= json.loads(text).keys()
    objects = json.loads(get(shown, "/_local/s3/data?format=json")[1])
    assert "plain" in [entry["key"] for entry in objects["objects"]] and "folder/" in objects["folders"]


def test_the_refresh_can_be_switched_off_and_stays_off(shown: Emulator) -> None:
    assert page(shown).refresh == "5"
    still = page(shown, "/_local/?refresh=0")
    assert still.refresh is None
    assert all("refresh" in link for link in still.links if "/logs/" in link or "/s3/" in link)
    assert page(shown, "/_local/?refresh=30").refresh == "30"


def test_a_form_stops_a_job(shown: Emulator) -> None:
    kept = {"S3Uri": "s3://data/checkpoints/"}
    client = create(shown, "long", HyperParameters={"do": "wait"}, CheckpointConfig=kept)
    [(action, fields)] = [form for form in page(shown).forms if form[0] == "/_local/stop" and form[1]["name"] == "long"]
    status, _, where = post(shown, action, fields, Origin=shown.url)
    assert (status, where) == (303, "/_local/")
    assert ended(client, "long")["TrainingJobStatus"] == "Stopped"
    assert job(shown, "long")["stoppable"] is False
    status, text, _ = post(shown, action, fields)
    assert status == 400 and "is in status Stopped" in text


def test_forms_order_faults_and_take_them_back(shown: Emulator) -> None:
    fields = page(shown, "/_local/order").forms[0][1] | {"kind": "quota", "target": "CreateModel", "times": "2"}
    assert post(shown, "/_local/order", fields)[0] == 303
    assert overview(shown)["faults"] == [{"kind": "quota", "target": "CreateModel", "times": 2, "seconds": 0.0}]
    assert "quota, target CreateModel, 2 times" in page(shown).words
    assert post(shown, "/_local/clear", {})[0] == 303
    assert overview(shown)["faults"] == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"kind": "no-such"}, "there is no fault 'no-such'"),
        ({"times": "often"}, "times and seconds of a fault are numbers"),
        ({"times": "0"}, "times of a fault is at least 1"),
        ({"seconds": "nan"}, "seconds is from 0 to 86400"),
        ({"seconds": "inf"}, "seconds is from 0 to 86400"),
    ],
)
def test_a_form_with_a_wrong_value_says_so(shown: Emulator, changed: dict[str, str], sentence: str) -> None:
    status, text, _ = post(shown, "/_local/order", {"kind": "s3-slow", **changed})
    assert status == 400 and sentence in text and overview(shown)["faults"] == []


@pytest.mark.parametrize("path", ["/_local/stop", "/_local/order", "/_local/clear"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_of_another_site_cannot_send_its_forms(shown: Emulator, path: str, headers: dict[str, str]) -> None:
    assert post(shown, path, {"kind": "quota"}, **headers)[0] == 403
    assert overview(shown)["faults"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/_local/s3/no-such-bucket", 404),
        ("/_local/logs/training-job/no-such-job", 404),
        ("/_local/logs/model/x", 404),
        ("/_local/?most=x", 400),
        ("/_local/?refresh=-1", 400),
        ("/_local/logs/training-job/x?lines=²", 400),
    ],
)
def test_what_is_not_there_is_refused_as_text(shown: Emulator, path: str, status: int) -> None:
    with closing(http.client.HTTPConnection(shown.url.removeprefix("http://"))) as connection:
        connection.request("GET", path.replace("²", "%C2%B2"))
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")


def test_another_region_is_a_page_of_its_own(shown: Emulator) -> None:
    other = json.loads(get(shown, "/_local/?format=json&region=eu-west-1")[1])
    assert other["region"] == "eu-west-1" and not any(other["entries"].values())
    outside = json.loads(get(shown, "/_local/?format=json&region=../../x")[1])
    assert outside["region"] == "us-east-1"
