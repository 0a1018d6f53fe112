"""The sentence that describes how the photos of several hosts differ."""

import pytest

from train.processes.agree import Held, difference


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"a.jpg": ("cat", 9), "b.jpg": ("cat", 2)}, "h2 lacks 1 of the classes of h1, first 'dog'"),
        ({"a.jpg": ("cat", 9), "b.jpg": ("emu", 2)}, "h2 lacks 1 of the classes of h1, first 'dog'"),
        (
            {"a.jpg": ("cat", 9), "b.jpg": ("dog", 2), "c.jpg": ("emu", 2)},
            "h1 lacks 1 of the classes of h2, first 'emu'",
        ),
        ({"a.jpg": ("cat", 9), "c.jpg": ("dog", 2)}, "h2 lacks 1 of the 2 photos of h1, first b.jpg"),
        (
            {"a.jpg": ("cat", 9), "b.jpg": ("dog", 2), "c.jpg": ("dog", 2)},
            "h1 lacks 1 of the 3 photos of h2, first c.jpg",
        ),
        ({"a.jpg": ("dog", 9), "b.jpg": ("cat", 2)}, "a.jpg is 'cat' on h1 and 'dog' on h2"),
        ({"a.jpg": ("cat", 9), "b.jpg": ("dog", 3)}, "b.jpg has 2 bytes on h1 and 3 on h2"),
        ({"a.jpg": ("cat", 9), "b.jpg": ("dog", 2)}, ""),
    ],
)
def test_a_difference_is_the_first_that_explains_the_others(other: dict[str, tuple[str, int]], sentence: str) -> None:
    first = Held("h1", {"a.jpg": ("cat", 9), "b.jpg": ("dog", 2)})
    assert difference([first, Held("h2", other)]) == sentence


def test_at_most_three_hosts_are_named_with_their_difference() -> None:
    hosts = [Held(f"h{number}", {} if number > 1 else {"a.jpg": ("cat", 1)}) for number in range(1, 7)]
    assert difference(hosts).endswith("h4 lacks 1 of the classes of h1, first 'cat'; and 2 more hosts")
    text = difference([hosts[0], Held("h2", {}, "no photos")])
    assert text == "h1 holds 1 photos of 1 classes and h2 cannot use its photos (no photos)"
