"""Accept and Custom-Attributes, JSON instances, and the forms of an answer."""

import base64
import csv
import io
import json
from urllib.parse import quote

import numpy as np
import pytest

from serve.formats import (
    Form,
    RequestError,
    accepted,
    check_size,
    is_photo_type,
    read_instances,
    requested_top_k,
    what_it_is,
    write_answer,
)
from tests.conftest import SHARED

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
        ("image/*", None),
        ("image/avif,image/webp,*/*;q=0.8", "application/json"),
        ("application/json;q=high", None),
    ],
)
def test_accept_chooses_the_form_it_likes_best(header: str, form: str | None) -> None:
    assert accepted(header) == form


def test_top_k_is_found_among_other_attributes() -> None:
    assert requested_top_k("trace=1,top_k=10;other=2") == 10
    assert requested_top_k("my_top_k=10") is None and requested_top_k("") is None


@pytest.mark.parametrize("value", ["0", "-1", "x", "1e3", "", "99999", "1.5"])
def test_a_top_k_that_is_not_a_count_is_refused(value: str) -> None:
    with pytest.raises(RequestError, match="whole number from 1 to 10,000"):
        requested_top_k(f"top_k={value}")


def test_instances_are_read_in_order() -> None:
    body = json.dumps({"instances": [{"b64": base64.b64encode(text).decode()} for text in (b"one", b"two")]})
    assert read_instances(body.encode()) == [b"one", b"two"]


PHOTO = b"\xff\xd8\xff\xe0 a photo xx\xfb\xef\xbe\xff"
ENCODED = base64.b64encode(PHOTO).decode()
assert "+" in ENCODED and "/" in ENCODED and ENCODED.endswith("=")


@pytest.mark.parametrize(
    "text",
    [
        base64.encodebytes(PHOTO).decode(),
        "\r\n".join(ENCODED[start : start + 8] for start in range(0, len(ENCODED), 8)),
        f"data:image/jpeg;base64,{ENCODED}",
        f"DATA:image/svg+xml; charset=utf-8 ;base64, {ENCODED}\n",
        base64.urlsafe_b64encode(PHOTO).decode(),
        ENCODED.rstrip("="),
        base64.urlsafe_b64encode(PHOTO).decode().rstrip("="),
        f"data:image/jpeg;base64,{quote(ENCODED, safe='')}",
        quote(ENCODED, safe=""),
        " ".join(ENCODED[start : start + 8] for start in range(0, len(ENCODED), 8)),
    ],
    ids=[
        *("lines", "crlf", "data-uri", "spaced-uri", "url-safe", "unpadded", "url-safe-unpadded"),
        *("percent-encoded-uri", "percent-encoded", "lines-joined-by-blanks"),
    ],
)
def test_base64_is_read_in_every_usual_form(text: str) -> None:
    assert read_instances(json.dumps({"instances": [{"b64": text}]}).encode()) == [PHOTO]


def test_base64_whose_plus_signs_a_form_made_blanks_is_told() -> None:
    text = base64.b64encode(b"\xff\xd8\xff" + b"\xfb\xef\xbe" * 2 + b"x" * 6 + b"\xfb\xef\xbe").decode()
    assert text.count("+") > 3
    with pytest.raises(RequestError, match="each \\+ has become a blank, as happens in web forms; send the text as"):
        read_instances(json.dumps({"instances": [{"b64": text.replace("+", " ")}]}).encode())


@pytest.mark.skipif(not (SHARED.parent / "cases").is_dir(), reason="the optional folder of cases is absent")
@pytest.mark.parametrize("name", ["b_wrapped.json", "b_datauri.json"])
def test_the_cases_of_base64_hold_photos(name: str) -> None:
    [photo] = read_instances((SHARED.parent / "cases" / name).read_bytes())
    assert photo.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("body", "clause"),
    [
        (base64.b64encode(PHOTO * 9), "it is base64 text: send the bytes that it encodes"),
        (base64.encodebytes(b"\x89PNG\r\n\x1a\n" + b"x" * 90), "it is base64 text"),
        (b'"' + base64.urlsafe_b64encode(PHOTO * 9) + b'"', "it is base64 text"),
        (b"data:image/jpeg;base64," + base64.b64encode(PHOTO * 9), "it is base64 text"),
        (repr(base64.b64encode(PHOTO * 9)).encode(), "it is base64 text"),
        (b' {"instances": []}', "it is JSON: send it with Content-Type application/json"),
        (b"\xef\xbb\xbf<!DOCTYPE html><p>404", "it is a page of HTML or XML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is a page of HTML or XML"),
        (b'--x1\r\nContent-Disposition: form-data; name="file"\r\n\r\n', "it is a form"),
        (b"https://example.com/dog.jpg", "it is an address, from which nothing is fetched"),
        (b"s3://bucket/dog.jpg", "it is an address"),
        (b"hello", ""),
        (b"This text is long enough, and is not base64 of anything.", ""),
        (b"x" * 400, ""),  # valid base64, but not of a photo
        (b"", ""),
    ],
)
def test_what_is_not_a_photo_is_named_with_what_to_send(body: bytes, clause: str) -> None:
    assert what_it_is(body).startswith(f"; {clause}") if clause else what_it_is(body) == ""


def test_what_to_send_is_said_once() -> None:
    assert what_it_is(b"{}", "not an image").startswith("; it is JSON")
    assert what_it_is(b"{}", "JSON text, not an image; send it as application/json") == ""


@pytest.mark.parametrize(
    "kind",
    [
        "image/jpg",
        "image/pjpeg",
        "image/x-png",
        "image/tif",
        "image/x-ms-bmp",
        "image/avif",
        "image/*",
        "binary/octet-stream",
    ],
)
def test_usual_spellings_of_types_are_photos(kind: str) -> None:
    assert is_photo_type(kind)


@pytest.mark.parametrize(
    "kind", ["image/", "image", "images/jpeg", "image/../json", "image/jpeg, text/csv", "video/mp4"]
)
def test_other_types_are_not_photos(kind: str) -> None:
    assert not is_photo_type(kind)


def test_a_class_name_that_no_utf8_can_hold_is_an_error_in_every_form() -> None:
    for accept in ("application/json", "application/json;verbose", "application/jsonlines", "text/csv"):
        with pytest.raises(UnicodeEncodeError):
            text, _ = write_answer(Form(json=False, accept=accept, top_k=None), ROWS[:1], ("a", "caf\udce9", "c"), 2)
            text.encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff\xfe", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "with at least one instance"),
        (b'{"url": "https://example.com/dog.jpg"}', r"\[{\"b64\": .* \(nothing is fetched from addresses\)"),
        (b'{"inputs": [{"b64": "aaaa"}]}', r'must be {"instances": \[{"b64"'),
        (b'{"image": "aaaa"}', r'must be {"instances": \[{"b64"'),
        (b'[{"b64": "aaaa"}]', r'must be {"instances": \[{"b64"'),
        (b'{"instances": [{"image_bytes": {"b64": "aaaa"}}]}', r"instances\[0\] must be"),
        (b'{"instances": []}', "with at least one instance"),
        (b'{"instances": {"b64": ""}}', "with at least one instance"),
        (b'{"instances": ["aaaa"]}', r"instances\[0\] must be"),
        (b'{"instances": [{"b64": "aaaa"}, {"b64": 1}]}', r"instances\[1\] must be"),
        (b'{"instances": [{"b64": "%%%"}]}', r"instances\[0\].b64 is not valid base64"),
        (b'{"instances": [{"b64": "b\'aaaa\'"}]}', r"instances\[0\].b64 is Python's way to print bytes"),
        (b'{"instances": [{"b64": "aaaaa"}]}', r"instances\[0\].b64 is not valid base64"),
        (
            b'{"instances": [{"b64": "aaaa"}, {"b64": "data:image/png,aaaa"}]}',
            r"instances\[1\].b64 is not valid base64",
        ),
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


def test_of_what_is_wrong_with_base64_80_signs_are_reported() -> None:
    with pytest.raises(ValueError) as reason:
        base64.b64decode("aaaaa")
    assert len(str(reason.value)) > 81
    with pytest.raises(RequestError) as refused:
        read_instances(b'{"instances": [{"b64": "aaaaa"}]}')
    assert str(refused.value) == f"instances[0].b64 is not valid base64 ({str(reason.value)[:80]})"


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


def test_class_names_beyond_ascii_are_whole_in_every_form() -> None:
    names = ("caf\u00e9, \u201cgro\u00df\u201d", "\u6c34", "c")
    for accept in ("application/json", "application/json;verbose", "application/jsonlines", "text/csv"):
        text, _ = write_answer(Form(json=False, accept=accept, top_k=3), ROWS[1:], names, 3)
        text = text if accept == "text/csv" else json.dumps(json.loads(text), ensure_ascii=False)
        assert all(name in text for name in names)
    assert next(csv.reader(io.StringIO(text)))[::2] == [names[0], "c", names[1]]


def test_lines_and_csv_have_a_line_a_photo() -> None:
    lines = answer("application/jsonlines", many=True).splitlines()
    assert [json.loads(line)["predictions"][0]["label"] for line in lines] == [CLASSES[1], "a"]
    rows = list(csv.reader(io.StringIO(answer("text/csv", many=True))))
    assert [row[0] for row in rows] == [CLASSES[1], "a"] and float(rows[0][1]) == pytest.approx(0.7)


def test_500_instances_are_read_and_no_more() -> None:
    one = b'{"b64": "aaaa"}'
    assert len(read_instances(b'{"instances": [' + b",".join([one] * 500) + b"]}")) == 500
    with pytest.raises(RequestError, match="at most 500 instances; send the others in further requests"):
        read_instances(b'{"instances": [' + b",".join([one] * 501) + b"]}")
    commas = b'{"instances": [{"b64": "aaaa", "x": [%s]}]}'
    assert len(read_instances(commas % b",".join([b"1"] * 10_000))) == 1  # 10,000 commas, including the one before "x"
    with pytest.raises(RequestError, match="at most 500 instances"):
        read_instances(commas % b",".join([b"1"] * 10_001))


def test_an_answer_lists_half_a_million_labels_and_no_more() -> None:
    best = Form(json=True, accept="application/json", top_k=None)
    check_size(best, 500, 1000, 1000)
    check_size(best, 500, 1001, 1000)
    check_size(best, 1, 10**9, 500_000)
    everything = Form(json=True, accept="application/json;verbose", top_k=None)
    check_size(everything, 500, 1000, 5)
    check_size(Form(json=True, accept="application/json;verbose", top_k=1000), 500, 2000, 5)
    for form, photos, classes, top_k in (
        (best, 1, 500_001, 500_001),
        (everything, 1, 500_001, 1),
        (Form(json=True, accept="text/csv", top_k=1001), 500, 2000, 5),
    ):
        with pytest.raises(
            RequestError, match=r"labels, at most 500,000 are allowed; ask for fewer with top_k or send fewer photos"
        ):
            check_size(form, photos, classes, top_k)


def test_the_largest_top_k_is_ten_thousand() -> None:
    assert (
        requested_top_k("top_k=10000") == 10_000
        and requested_top_k("top_k=1") == 1
        and requested_top_k("a top_k=00007") == 7
    )
    with pytest.raises(RequestError, match="from 1 to 10,000"):
        requested_top_k("top_k=10001")
    with pytest.raises(RequestError, match=f"^top_k={'9' * 20} in"):
        requested_top_k("top_k=" + "9" * 21)


def test_a_label_is_quoted_where_csv_needs_it() -> None:
    names = ('say "a"', "b,c", "d\re", "f\ng", "plain")
    row = np.array([[0.5, 0.25, 0.125, 0.0625, 0.03125]], np.float32)
    text, _ = write_answer(Form(json=False, accept="text/csv", top_k=None), row, names, 5)
    assert text == '"say ""a""",0.5,"b,c",0.25,"d\re",0.125,"f\ng",0.0625,plain,0.03125\n'


def test_of_equal_probabilities_and_of_more_labels_than_there_are_all_are_listed() -> None:
    row = np.array([[0.25, 0.5, 0.25]], np.float32)
    found = json.loads(write_answer(Form(json=False, accept="application/json", top_k=99), row, CLASSES, 1)[0])
    assert found["predictions"][0]["label"] == CLASSES[1]
    assert sorted(item["label"] for item in found["predictions"]) == sorted(CLASSES)


@pytest.mark.parametrize("kind", ["image/", "image/a b", "images/png", "video/mp4", "text/plain", "application/json"])
def test_what_is_not_an_image_by_its_type_is_not_read_as_a_photo(kind: str) -> None:
    assert not is_photo_type(kind)
