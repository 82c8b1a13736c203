"""How many times the rows of a source are used."""

import random
from collections.abc import Mapping

from aji.errors import UserError


def check_weights(name: str, mixture: Mapping[str, float]) -> None:
    """Raise UserError for a weight of a mixture that is no positive number."""
    for source, weight in mixture.items():
        if not (isinstance(weight, int | float) and 0 < weight < float("inf")):
            raise UserError(
                f"{name}: found weight {weight!r} of {source}, expected a positive number: how many times "
                "its rows are used. Remove the line to leave it out"
            )


def draw_places(size: int, weight: float) -> list[int]:
    """Places of `size` rows, in order, each used as many times as the weight says; a fractional weight draws.

    The same rows every time. Not every second row for 0.5: of a file in which harmful and harmless requests take
    turns that would leave one kind.
    """
    times = int(weight)
    chosen = set(random.Random(0).sample(range(size), round(size * weight) - size * times))
    return [place for place in range(size) for _ in range(times + (place in chosen))]
