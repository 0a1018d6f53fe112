"""Near-duplicates: photos of different splits whose features point in nearly the same direction."""

from dataclasses import dataclass
from itertools import combinations

from torch import Tensor
from torch.nn import functional

LEAST = 0.95  # cosine of two features from which on photos count as near-duplicates
BLOCK = 512  # how many photos of one split are compared at a time with all photos of another
# The most pairs of photos that are compared, in about 2 s for features of 2,048 numbers on 2 cores.
MOST_COMPARED = 50_000_000
KEPT = 200  # pairs that are returned
# If a larger share of all pairs counts, the backbone hardly distinguishes photos, as with random weights.
MEANINGLESS = 0.5


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two photos by their places, and the cosine of their features."""

    first: int
    second: int
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """The most similar pairs, and the number of near-duplicates among the `compared` pairs of photos."""

    pairs: tuple[Pair, ...]
    count: int
    compared: int

    @property
    def meaningless(self) -> bool:
        """Whether too many pairs count as near-duplicates, so that the features cannot distinguish photos."""
        return self.count > MEANINGLESS * self.compared


def near_duplicates(features: Tensor, splits: Tensor) -> Duplicates:
    """Compare photos of different splits by their features float32 [N, D]; `splits` int64 [N] holds each photo's split.

    In very large splits only every second photo (or every third, and so on) is compared, so that there are at most MOST_COMPARED pairs.
    """
    places = [(splits == number).nonzero().flatten() for number in range(int(splits.max()) + 1)]
    total = sum(len(one) * len(other) for one, other in combinations(places, 2))
    step = 1
    while total > step * step * MOST_COMPARED:
        step += 1
    places = [chosen[::step] for chosen in places]
    pairs, count, compared = list[Pair](), 0, 0
    for one, other in combinations(places, 2):
        others = functional.normalize(features[other])
        compared += len(one) * len(other)
        for start in range(0, len(one), BLOCK):
            block = one[start : start + BLOCK]
            cosines = functional.normalize(features[block]) @ others.T
            count += int((cosines > LEAST).sum())
            pairs += _closest(cosines, block, other)
            pairs = sorted(pairs, key=lambda pair: -pair.cosine)[:KEPT]
    return Duplicates(pairs=tuple(pairs), count=count, compared=compared)


def _closest(cosines: Tensor, rows: Tensor, columns: Tensor) -> list[Pair]:
    """Return the near-duplicates among cosines [rows, columns], at most KEPT."""
    best = cosines.flatten().topk(min(KEPT, cosines.numel()))
    return [
        Pair(first=int(rows[place // len(columns)]), second=int(columns[place % len(columns)]), cosine=min(1.0, value))
        for value, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        if value > LEAST
    ]
