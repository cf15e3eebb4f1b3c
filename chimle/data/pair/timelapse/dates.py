"""Dates of nights and days, and their splits."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from chimle.data.pair.splits import first_by_hash, split_by_hash
from chimle.data.pair.timelapse.frames import Frame
from chimle.data.pair.timelapse.light_classes import Class
from chimle.settings.pair import PairSettings
from chimle.settings.timelapse import CameraSettings

_DEGREES_PER_HOUR = 15
"""Of longitude, that the sun passes."""


def date_of(frame: Frame, class_: Class, place: CameraSettings | None) -> str:
    """The date of a day, or the one on which a night began.

    By the sun at the camera's place, so that no night or day has two dates; in UTC where the place
    is not known.
    """
    assert frame.time is not None
    ahead = place.longitude / _DEGREES_PER_HOUR if place else 0.0
    moment = frame.time + timedelta(hours=ahead - 12 if class_ is Class.NIGHT else ahead)
    return moment.date().isoformat()


def date_splits(
    dates: Mapping[Class, Sequence[str]], settings: PairSettings, seed: int
) -> dict[str, str]:
    """Splits of dates, so that the test has nights and days.

    Args:
        dates: of a camera's nights and days, sorted.
        settings: shares of the splits.
        seed: of the hashes.

    Returns:
        Split of every date, by its hash. Where nights and days have several dates each, one of
        each is always of the test: a date with both where there is one.
    """
    kinds = (Class.DAY, Class.NIGHT)
    chosen = {date: split_by_hash(date, settings, seed) for kind in kinds for date in dates[kind]}
    if min(len(dates[kind]) for kind in kinds) < 2:
        return chosen
    common = sorted(set(dates[Class.DAY]) & set(dates[Class.NIGHT]))
    for kind in kinds:
        if all(chosen[date] != "test" for date in dates[kind]):
            chosen[first_by_hash(common or dates[kind], seed)] = "test"
    return chosen
