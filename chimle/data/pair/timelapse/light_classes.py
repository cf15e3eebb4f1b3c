"""Classes night, dusk and day: by annotations, by the sun, or by a camera's own range of light."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
from astral import Observer
from astral.sun import elevation

from chimle.data.pair.timelapse.frames import Frame, Rejected
from chimle.settings.timelapse import (
    AttributeSettings,
    CameraSettings,
    LightSettings,
    SunSettings,
    TimelapseSettings,
)


class Class(StrEnum):
    """Class of a frame."""

    NIGHT = "night"
    DUSK = "dusk"
    DAY = "day"


BRIGHT_PART = 0.25
"""Share of a scene's pixels in its bright part: the sky, or light walls."""
LIT_FRAMES = 0.1
"""Share of frames, the brightest ones, that define good light."""
LEAST_LIGHT = 160.0
"""Smallest brightness, of 255, of the bright part by day: a camera that only saw nights has no
range of its own."""
LEAST_GROUND = 0.02
"""Smallest linear light, of 1, of the rest of a scene by day."""


def by_sun(frame: Frame, camera: CameraSettings, settings: SunSettings) -> Class:
    """Class by the sun's elevation at a camera's location; the frame has a time."""
    assert frame.time is not None
    degrees = elevation(Observer(camera.latitude, camera.longitude), frame.time)
    if degrees < settings.night_below:
        return Class.NIGHT
    return Class.DAY if degrees > settings.day_above else Class.DUSK


def by_attributes(values: tuple[float, float], settings: AttributeSettings) -> Class:
    """Class by the annotated values for day and night; dusk if not exactly one passes."""
    day, night = values
    if night > settings.night_above and day <= settings.day_above:
        return Class.NIGHT
    return Class.DAY if day > settings.day_above and night <= settings.night_above else Class.DUSK


def light(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness of one camera's frames, relative to its brightest ones.

    The brightest frames define the bright part of the scene. Its largest channel separates night: a
    deep blue sky is dark in luminance but not in blue, and lamps are elsewhere. The rest, the
    ground, separates dusk.

    Args:
        thumbnails: (N, h, w, 3) uint8.

    Returns:
        (N,) brightness of the bright part, and (N,) linear light of the rest.
    """
    value = thumbnails.max(axis=-1).astype(np.float32)
    count = min(len(value), max(3, round(LIT_FRAMES * len(value))))
    lit = np.argsort(value.mean(axis=(1, 2)), kind="stable")[-count:]
    reference = np.median(value[lit], axis=0)
    bright = reference >= np.quantile(reference, 1 - BRIGHT_PART)
    part = value[:, bright].mean(axis=1) / max(float(reference[bright].mean()), LEAST_LIGHT)
    # Where the brightest frames are of one colour, all of the scene is its bright part.
    rest = bright if bright.all() else ~bright
    luminance = thumbnails.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    ground = (luminance**2.2)[:, rest].mean(axis=1)
    return part, ground / max(float(np.median(ground[lit])), LEAST_GROUND)


def by_light(frames: Sequence[Frame], settings: LightSettings) -> list[Class]:
    """Classes of one camera's frames by their light alone."""
    parts, grounds = light(np.stack([frame.thumbnail for frame in frames]))
    classes = []
    for part, ground in zip(parts, grounds, strict=True):
        lit = part > settings.day_above and ground >= settings.dusk_below * part
        dim = Class.DAY if lit else Class.DUSK
        classes.append(Class.NIGHT if part < settings.night_below else dim)
    return classes


def classify(
    frames: Sequence[Frame],
    settings: TimelapseSettings,
    attributes: Mapping[str, tuple[float, float]] | None,
    rejected: Rejected,
) -> list[tuple[Frame, Class]]:
    """Classes of one camera's frames.

    Annotations decide alone where they are given. Otherwise the sun decides where the camera's
    location is known; a frame whose light says the opposite has a wrong clock and is rejected.
    Otherwise light decides. The hour alone decides nothing: time stamps of public cameras are often
    off by half a day.
    """
    if not frames:
        return []
    camera = settings.cameras.get(frames[0].camera)
    found = []
    seen = by_light(frames, settings.light)
    for frame, lit in zip(frames, seen, strict=True):
        if attributes is not None:
            if frame.name not in attributes:
                rejected.add(frame.name, "no line in the annotations")
                continue
            found.append((frame, by_attributes(attributes[frame.name], settings.attributes)))
        elif camera is None or frame.time is None:
            found.append((frame, lit))
        else:
            sun = by_sun(frame, camera, settings.sun)
            if {sun, lit} == {Class.DAY, Class.NIGHT}:
                detail = f"{sun} by the sun, {lit} by its light"
                rejected.add(frame.name, "clock and light disagree", detail)
                continue
            found.append((frame, sun))
    return found
