"""The 95 % interval of a share."""

import math

Z = 1.959964


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the interval of hits / count (Wilson 1927), which stays sensible for 100 % of few; 0 to 1 for none of none."""
    if not count:
        return 0.0, 1.0
    centre, spread = hits + Z * Z / 2, Z * math.sqrt(hits * (count - hits) / count + Z * Z / 4)
    return max(0.0, (centre - spread) / (count + Z * Z)), min(1.0, (centre + spread) / (count + Z * Z))
