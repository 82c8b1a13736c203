"""Sample sizes and 95 % intervals beside every figure."""

import math
from collections import defaultdict
from collections.abc import Sequence


Z95 = 1.959964


def share(name: str, right: float, n: int, independent: float | None = None) -> dict[str, float]:
    """A share in percent as flat metrics `NAME`, `NAME_low`, `NAME_high`, `NAME_n`.

    The interval is Wilson's (1927), which stays inside 0 to 100 % and is right for small n and extreme shares; it is
    that of `independent` observations where those counted are not.
    """
    if n == 0:
        return {}
    p, z2, size = right / n, Z95**2, independent or n
    centre = (p + z2 / (2 * size)) / (1 + z2 / size)
    half = Z95 / (1 + z2 / size) * math.sqrt(p * (1 - p) / size + z2 / (4 * size * size))
    return {
        name: round(100 * p, 2),
        f"{name}_low": round(100 * max(0.0, centre - half), 2),
        f"{name}_high": round(100 * min(1.0, centre + half), 2),
        f"{name}_n": n,
    }


def share_of_groups(name: str, values: Sequence[float], groups: Sequence) -> dict[str, float]:
    """`share` of values from 0 to 1 of which those of one group, such as the pairs of one ranking, are alike.

    The interval is that of as many independent values as tell as much: n over Kish's design effect (1965), from how
    the sums of the groups vary.
    """
    n, p = len(values), sum(values) / max(1, len(values))
    apart: dict = defaultdict(float)
    for value, group in zip(values, groups, strict=True):
        apart[group] += value - p
    variance = sum(rest * rest for rest in apart.values()) / max(1, n) ** 2
    return share(name, sum(values), n, min(n, p * (1 - p) / variance if variance else len(apart)))


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
