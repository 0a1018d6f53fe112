"""The 95 % interval of a share."""

import math

Z = 1.959964


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the share hits / count (Wilson 1927). It is usable for small counts too; for count 0 it is 0 to 1."""
    if not count:
        return 0.0, 1.0
    centre, spread = hits + Z * Z / 2, Z * math.sqrt(hits * (count - hits) / count + Z * Z / 4)
    return max(0.0, (centre - spread) / (count + Z * Z)), min(1.0, (centre + spread) / (count + Z * Z))
