"""What Accept and Custom-Attributes ask for, JSON instances, and the forms of an answer."""

import base64
import csv
import io
import json

import numpy as np
import pytest

from serve.formats import Form, RequestError, accepted, asked_top_k, read_instances, write_answer

CLASSES = ("a", 'b, "quoted"', "c")
ROWS = np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]], np.float32)


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/csv"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("application/json;verbose", "application/json;verbose"),
        ("application/json; verbose", "application/json;verbose"),
        ("text/html, application/jsonlines", "application/jsonlines"),
        ("text/csv;q=0.5, application/jsonlines;q=0.9", "application/jsonlines"),
        ("text/csv, */*;q=0.1", "text/csv"),
        ("application/json;q=0", None),
        ("image/png", None),
        ("application/json;q=high", None),
    ],
)
def test_accept_chooses_the_form_it_likes_best(header: str, form: str | None) -> None:
    assert accepted(header) == form


def test_top_k_is_found_among_other_attributes() -> None:
    assert asked_top_k("trace=1,top_k=10;other=2") == 10
    assert asked_top_k("my_top_k=10") is None and asked_top_k("") is None


@pytest.mark.parametrize("value", ["0", "-1", "x", "1e3", "", "99999", "1.5"])
def test_a_top_k_that_is_no_count_is_refused(value: str) -> None:
    with pytest.raises(RequestError, match="whole number from 1 to 10,000"):
        asked_top_k(f"top_k={value}")


def test_instances_are_read_in_order() -> None:
    body = json.dumps({"instances": [{"b64": base64.b64encode(text).decode()} for text in (b"one", b"two")]})
    assert read_instances(body.encode()) == [b"one", b"two"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff\xfe", "no JSON"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "with at least one instance"),
        (b'{"instances": []}', "with at least one instance"),
        (b'{"instances": {"b64": ""}}', "with at least one instance"),
        (b'{"instances": ["aaaa"]}', r"instances\[0\] must be"),
        (b'{"instances": [{"b64": "aaaa"}, {"b64": 1}]}', r"instances\[1\] must be"),
        (b'{"instances": [{"b64": "%%%"}]}', r"instances\[0\].b64 is no base64"),
    ],
)
def test_a_body_that_holds_no_instances_is_named(body: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_instances(body)


def answer(accept: str, *, many: bool, top_k: int | None = None) -> str:
    text, content_type = write_answer(
        Form(json=many, accept=accept, top_k=top_k), ROWS if many else ROWS[:1], CLASSES, 2
    )
    assert content_type == accept
    return text


def test_json_holds_the_best_labels_of_each_photo() -> None:
    best = [
        {"label": 'b, "quoted"', "probability": pytest.approx(0.7)},
        {"label": "a", "probability": pytest.approx(0.2)},
    ]
    assert json.loads(answer("application/json", many=False)) == {"predictions": best}
    assert json.loads(answer("application/json", many=True))["predictions"][0] == best
    assert len(json.loads(answer("application/json", many=True, top_k=1))["predictions"][1]) == 1


def test_verbose_has_the_shape_of_the_built_in_tensorflow_algorithm() -> None:
    whole = json.loads(answer("application/json;verbose", many=False))
    assert whole["labels"] == list(CLASSES) and whole["predicted_label"] == CLASSES[1]
    assert whole["probabilities"] == pytest.approx([0.2, 0.7, 0.1])
    two = json.loads(answer("application/json;verbose", many=True, top_k=2))["predictions"]
    assert two[1]["labels"] == ["a", "c"] and len(two) == 2


def test_lines_and_csv_have_a_line_a_photo() -> None:
    lines = answer("application/jsonlines", many=True).splitlines()
    assert [json.loads(line)["predictions"][0]["label"] for line in lines] == [CLASSES[1], "a"]
    rows = list(csv.reader(io.StringIO(answer("text/csv", many=True))))
    assert [row[0] for row in rows] == [CLASSES[1], "a"] and float(rows[0][1]) == pytest.approx(0.7)
