"""Sample sizes and 95 % intervals beside every figure."""

import math


Z95 = 1.959964


def share(name: str, right: int, n: int) -> dict[str, float]:
    """A share in percent as flat metrics `NAME`, `NAME_low`, `NAME_high`, `NAME_n`.

    The interval is Wilson's (1927), which stays inside 0 to 100 % and is right for small n and extreme shares.
    """
    if n == 0:
        return {}
    p, z2 = right / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return {
        name: round(100 * p, 2),
        f"{name}_low": round(100 * max(0.0, centre - half), 2),
        f"{name}_high": round(100 * min(1.0, centre + half), 2),
        f"{name}_n": n,
    }


def mean(
    name: str, values: list[float], digits: int = 4, least: float = -math.inf, most: float = math.inf
) -> dict[str, float]:
    """A mean as flat metrics `NAME`, `NAME_low`, `NAME_high`, `NAME_n`, its interval from the normal approximation.

    No value can lie outside `least` to `most`; nor does the interval.
    """
    n = len(values)
    if n == 0:
        return {}
    centre = sum(values) / n
    spread = math.sqrt(sum((value - centre) ** 2 for value in values) / max(1, n - 1))
    half = Z95 * spread / math.sqrt(n)
    return {
        name: round(centre, digits),
        f"{name}_low": round(max(least, centre - half), digits),
        f"{name}_high": round(min(most, centre + half), digits),
        f"{name}_n": n,
    }
