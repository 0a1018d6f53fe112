"""The 95 % intervals of a share and of the difference of two shares."""

import math

Z = 1.959964


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the share hits / count (Wilson 1927), which holds for small counts too. For count 0 it is 0 to 1."""
    if not count:
        return 0.0, 1.0
    centre, spread = hits + Z * Z / 2, Z * math.sqrt(hits * (count - hits) / count + Z * Z / 4)
    return max(0.0, (centre - spread) / (count + Z * Z)), min(1.0, (centre + spread) / (count + Z * Z))


def difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Return the 95 % interval of the second share minus the first (Newcombe 1998, method 10). A share is a pair of hits and count.

    The formula assumes two independent sets of photos. For the same photos, the interval is wider than necessary.
    """
    one, other = (hits / count if count else 0.0 for hits, count in (first, second))
    (low_one, high_one), (low_other, high_other) = wilson(*first), wilson(*second)
    apart = other - one
    return apart - math.hypot(other - low_other, high_one - one), apart + math.hypot(high_other - other, one - low_one)
