"""Near-duplicates across splits: all pairs are compared, in blocks, and found only if features distinguish photos."""

from itertools import combinations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from train.report.photos import duplicates
from train.report.photos.duplicates import LEAST, near_duplicates


def photos(count: int = 60) -> tuple[Tensor, Tensor]:
    """Return distinct features, and the split of each: the first half is train."""
    random = torch.Generator().manual_seed(2)
    splits = torch.tensor([0] * (count // 2) + [1] * (count // 4) + [2] * (count - count // 2 - count // 4))
    return torch.randn(count, 32, generator=random), splits


def test_a_photo_that_came_into_two_splits_is_found_the_most_alike_first() -> None:
    features, splits = photos()
    features[35] = features[4] * 3  # the same photo, brighter
    features[58] = features[40] + 0.1 * torch.randn(32, generator=torch.Generator().manual_seed(3))
    features[6] = features[5]  # a copy in the same split
    found = near_duplicates(features, splits)
    assert [(pair.first, pair.second) for pair in found.pairs] == [(4, 35), (40, 58)]
    assert found.pairs[0].cosine == pytest.approx(1) and found.pairs[1].cosine > LEAST
    assert found.count == 2 and found.compared == 30 * 15 + 30 * 15 + 15 * 15 and not found.meaningless


def test_blocks_find_what_comparing_all_at_once_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    monkeypatch.setattr(duplicates, "KEPT", 9)
    features, splits = photos()
    features += 6  # now all features are similar
    cosines = functional.normalize(features) @ functional.normalize(features).T
    every = [
        (float(cosines[one, other]), one, other)
        for one, other in combinations(range(len(splits)), 2)
        if splits[one] != splits[other] and cosines[one, other] > LEAST
    ]
    found = near_duplicates(features, splits)
    assert found.count == len(every) > 9
    best = sorted(every, reverse=True)[:9]
    assert [(pair.first, pair.second) for pair in found.pairs] == [(one, other) for _, one, other in best]


def test_features_that_are_all_alike_name_no_pair() -> None:
    _, splits = photos()
    found = near_duplicates(torch.ones(60, 8), splits)
    assert found.meaningless and found.count == found.compared


def test_of_very_large_splits_a_part_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 100)
    features, splits = photos()
    assert 0 < near_duplicates(features, splits).compared <= 130  # the number from each split is rounded up


def test_one_split_alone_has_no_pairs() -> None:
    found = near_duplicates(torch.randn(5, 3), torch.zeros(5, dtype=torch.long))
    assert found.pairs == () and found.compared == 0 and not found.meaningless
