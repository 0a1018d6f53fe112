"""A seeded fuzzer changes photos and JSON: every answer is 200 or a 4xx with one sentence, and no worker dies.
BYOC_FUZZ_SECONDS sets the duration (default 20 s; the long test 600 s), and BYOC_FUZZ_SEED the first seed. A failure names the seed that
repeats it, and hypothesis finds the smallest such input.
"""

import base64
import contextlib
import http.client
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.mutants import corpus, mutants, pieces
from tests.wire import Answer, check_refusal, metric, post

EXAMPLES = 100  # seconds between two checks of the workers


@pytest.fixture(scope="module")
def photo(samples: Path) -> bytes:
    return (samples / "test" / "coffee" / "000.jpg").read_bytes()


@pytest.fixture(scope="module")
def seeds(photo: bytes) -> dict[str, bytes]:
    return corpus(photo)


def test_the_seeds_are_photos_and_their_pieces_are_all_of_them(url: str, seeds: dict[str, bytes]) -> None:
    for name, seed in seeds.items():
        answer = post(url, seed, "application/octet-stream")
        assert answer.status == 200, (name, answer.body)
        assert b"".join(pieces(seed)) == seed and len(pieces(seed)) >= 3, name


@pytest.mark.slow
def test_whatever_a_fuzzer_makes_of_a_photo_is_answered_and_kills_nothing(
    url: str, photo: bytes, seeds: dict[str, bytes]
) -> None:
    fuzz(url, photo, seeds, float(os.environ.get("BYOC_FUZZ_SECONDS", "20")), _seed(1))


@pytest.mark.long
def test_whatever_a_fuzzer_makes_of_a_photo_in_ten_minutes_kills_nothing(
    url: str, photo: bytes, seeds: dict[str, bytes]
) -> None:
    fuzz(url, photo, seeds, float(os.environ.get("BYOC_FUZZ_SECONDS", "600")), _seed(int(time.time())))


def _seed(default: int) -> int:
    return int(os.environ.get("BYOC_FUZZ_SEED", default))


def fuzz(url: str, photo: bytes, seeds: dict[str, bytes], seconds: float, seed: int) -> None:
    """Send damaged photos, and after every four turns of them damaged JSON bodies, until the time is over and each kind had its turn."""
    counts: dict[int, int] = {}
    restarts = metric(url, "byoc_worker_restarts_total")
    photos = mutants(seeds)
    kinds = [("application/octet-stream", photos)] * 4 + [("application/json", json_bodies(photos))]
    end, turn = time.monotonic() + seconds, 0
    while time.monotonic() < end or turn < len(kinds):
        content_type, strategy = kinds[turn % len(kinds)]
        try:
            with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=90)) as connection:
                _run(seed + turn, strategy, Sender(connection, content_type, counts).check)
            assert metric(url, "byoc_worker_restarts_total") == restarts, "a worker died"
            answer = post(url, photo)
            assert answer.status == 200 and answer.json["predictions"][0]["label"] == "coffee", answer.body
        except BaseException as error:
            # Begin with the first kind of body, so that each seed gives the same kind of body again.
            again = turn - turn % len(kinds)
            error.add_note(
                f"repeat it with BYOC_FUZZ_SEED={seed + again}, turn {turn - again}; answers so far {counts}"
            )
            raise
        turn += 1
    print(f"fuzz: seed {seed}, {turn} turns, answers by status {dict(sorted(counts.items()))}")
    # A useful fuzzer gets a mixture of answers: neither all bodies nor no bodies are refused.
    assert counts.get(200, 0) > 10 and counts.get(422, 0) > 10 and counts.get(400, 0) > 10, counts


def _run(seed: int, strategy: st.SearchStrategy[bytes], check: Callable[[bytes], None]) -> None:
    @hypothesis.seed(seed)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(strategy)
    def run(body: bytes) -> None:
        check(body)

    run()


class Sender:
    """Sends bodies over one connection and checks the answers."""

    def __init__(self, connection: http.client.HTTPConnection, content_type: str, counts: dict[int, int]) -> None:
        self._connection, self._content_type, self._counts = connection, content_type, counts

    def check(self, body: bytes) -> None:
        try:
            self._connection.request("POST", "/invocations", body, {"Content-Type": self._content_type})
            got = self._connection.getresponse()
            answer = Answer(got.status, dict(got.getheaders()), got.read())
        except BaseException:
            self._connection.close()  # the next request opens it again
            raise
        self._counts[answer.status] = self._counts.get(answer.status, 0) + 1
        if answer.status != 200:
            check_refusal(answer, 400, 413, 422)
        elif isinstance(answer.json["predictions"][0], dict):
            assert 0 <= answer.json["predictions"][0]["probability"] <= 1


# --- JSON


def json_bodies(photos: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bodies for application/json: valid ones with damaged photos, ones with a wrong structure, and ones that are not JSON."""
    encoded = photos.map(lambda data: base64.b64encode(data).decode())
    text = st.one_of(encoded, st.text(max_size=40), encoded.map(lambda value: value[:-3] + "*"))
    instance = st.one_of(
        st.fixed_dictionaries({"b64": text}),
        st.dictionaries(st.sampled_from(["b64", "B64", "data", ""]), st.one_of(text, st.none(), st.integers()), max_size=3),
        st.none(), st.integers(), st.text(max_size=5), st.lists(st.none(), max_size=3),
    )  # fmt: skip
    right = st.lists(st.fixed_dictionaries({"b64": encoded}), min_size=1, max_size=3)
    document = st.one_of(
        st.fixed_dictionaries({"instances": st.one_of(right, st.lists(instance, max_size=5))}),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=4),
                st.dictionaries(st.sampled_from(["instances", "b64", "x"]), inner, max_size=3),
            ),
        ),
    )
    written = st.builds(
        lambda value, plain: json.dumps(value, ensure_ascii=plain).encode(errors="surrogatepass"),
        document,
        st.booleans(),
    )
    depth = st.integers(1, 100_000)
    nested = st.builds(
        lambda count, opener: opener * count, depth, st.sampled_from([b"[", b'{"instances":', b'[{"b64":'])
    )
    return st.one_of(written, written, st.tuples(written, st.integers(0, 400)).map(lambda pair: pair[0][: pair[1]]),
                     nested, st.binary(min_size=1, max_size=60))  # fmt: skip
