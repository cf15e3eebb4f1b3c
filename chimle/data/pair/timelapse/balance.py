"""Which days a night is paired with."""

from collections.abc import Iterator, Sequence

from chimle.data.pair.splits import unit_hash
from chimle.data.pair.timelapse.frames import Frame


def _shuffled(frames: Sequence[Frame], purpose: str, seed: int) -> list[Frame]:
    return sorted(frames, key=lambda frame: unit_hash(seed, f"{purpose}/{frame.name}"))


def balanced(
    nights: Sequence[Frame], days: Sequence[Frame], each: int, seed: int
) -> Iterator[tuple[Frame, Frame]]:
    """Every night with `each` different days, or with all days if there are fewer.

    Days are used in rounds, each in another order, so that their counts differ by at most one.
    Orders follow from hashes of names.
    """
    nights = _shuffled(nights, "night", seed)
    each = min(each, len(days))
    waiting: list[Frame] = []
    turn = 0
    for night in nights:
        taken: set[str] = set()
        while len(taken) < each:
            # A day that this night already has stays for the next night.
            index = next((i for i, day in enumerate(waiting) if day.name not in taken), None)
            if index is None:
                waiting += _shuffled(days, f"day/{turn}", seed)
                turn += 1
            else:
                day = waiting.pop(index)
                taken.add(day.name)
                yield night, day
