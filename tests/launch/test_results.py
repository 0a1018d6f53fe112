"""What the main job prints at its end, and the photos that it sends to the server."""

from pathlib import Path
from typing import Any

import pytest

from classifier.photos import Photo
from launch.run import _print_results, _spread

SUMMARY: dict[str, Any] = {
    "test_accuracy": 0.75,
    "test_accuracy_interval": (0.3006, 0.9544),
    "test_count": 4,
    "seconds": {"check": 0.25, "total": 12.04},
    "predictions": [
        {"file": "photos/my cat.PNG", "truth": "cat", "label": "a long name", "probability": 0.5},
        {"file": "photos/dog.jpg", "truth": "dog", "label": "dog", "probability": 0.98765},
    ],
    "artifact": "runs/one/job/model",
    "records": "runs/one/job/output/data",
}
TABLE = """
truth        predicted    probability  photo
cat          a long name  0.5000       photos/my cat.PNG
dog          dog          0.9877       photos/dog.jpg

test accuracy 0.7500 (95 % interval 0.3006 to 0.9544) on 4 photos
seconds: check 0.2, total 12.0
artifact: runs/one/job/model
records: runs/one/job/output/data
summary: runs/one/summary.json
report: runs/one/report.html
"""


@pytest.mark.parametrize("kept", [False, True])
def test_the_results_are_a_table_and_what_to_do_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kept: bool
) -> None:
    monkeypatch.setattr("sys.argv", ["my byoc"])
    _print_results(SUMMARY, Path("runs/one"), "http://127.0.0.1:8123", Path("runs/one/report.html"), kept=kept)
    again = "serve it again: 'my byoc' serve runs/one/job/model --port 8123\n"
    query = "query it: curl -H 'Content-Type: image/png' --data-binary @'photos/my cat.PNG' http://127.0.0.1:8123/invocations\n"
    assert capsys.readouterr().out == TABLE + ("" if kept else again) + query


def test_short_names_take_the_width_of_the_heading(capsys: pytest.CaptureFixture[str]) -> None:
    prediction = {"file": "a.jpg", "truth": "a", "label": "b", "probability": 1}
    _print_results(SUMMARY | {"predictions": [prediction]}, Path(), "http://127.0.0.1:1", Path("page"), kept=True)
    text = capsys.readouterr().out
    assert text.startswith("\ntruth      predicted  probability  photo\na          b          1.0000       a.jpg\n")
    assert text.endswith("image/jpeg' --data-binary @a.jpg http://127.0.0.1:1/invocations\n")


@pytest.mark.parametrize(
    ("count", "sent"), [(1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (9, [1, 3, 5, 7]), (12, [1, 4, 7, 10])]
)
def test_four_photos_spread_over_the_test_photos_are_sent(count: int, sent: list[int]) -> None:
    photos = tuple(Photo(Path(str(number)), 0) for number in range(count))
    assert [int(photo.path.name) for photo in _spread(photos)] == sent
