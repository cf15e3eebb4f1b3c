"""How frames of time-lapse cameras become pairs of a night and a day."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from chimle.io.files import composed
from chimle.settings.settings_base import Settings

_NAMES = (
    "dirty daylight night sunrisesunset dawndusk sunny clouds fog storm snow warm cold busy "
    "beautiful flowers spring summer autumn winter glowing colorful dull rugged midday dark bright "
    "dry moist windy rain ice cluttered soothing stressful exciting sentimental mysterious boring "
    "gloomy lush"
)
TRANSIENT_ATTRIBUTES = tuple(_NAMES.split())
"""The 40 columns of Transient Attributes' annotations.tsv, in their order."""


class CameraSettings(Settings):
    """Where a camera stands, from which follows where its sun stands."""

    latitude: float = Field(ge=-90, le=90)
    """Degrees north."""
    longitude: float = Field(ge=-180, le=180)
    """Degrees east."""
    utc_offset: float = Field(0.0, ge=-14, le=14)
    """Hours that its time stamps are ahead of UTC."""


class SunSettings(Settings):
    """Classes by the sun's elevation, for cameras whose place is given."""

    night_below: float = Field(-8.0, ge=-90, le=90)
    """Degrees. At -6 civil twilight ends, but the sky is still a deep blue."""
    day_above: float = Field(3.0, ge=-90, le=90)
    """Degrees. Between the two it is dusk (or dawn)."""

    @model_validator(mode="after")
    def _ordered(self) -> "SunSettings":
        if self.night_below >= self.day_above:
            raise ValueError("`night_below` must lie below `day_above`")
        return self


class LightSettings(Settings):
    """Classes by a frame's light relative to the camera's own brightest frames."""

    night_below: float = Field(0.54, gt=0, lt=1)
    """Brightness, over that of bright frames, of what is bright by day (sky, walls). An overcast
    winter day stays above 0.62; a foggy night in a lit town reaches 0.5."""
    day_above: float = Field(0.62, gt=0, lt=1)
    """The same brightness; between the two it is dusk."""
    dusk_below: float = Field(0.53, gt=0)
    """Linear light of the rest of a frame (the ground), over that of bright frames and over that
    brightness; what is no night but below this is dusk. A camera's exposure keeps the sky bright
    for long after the ground has gone dark, while a gloomy day dims both."""

    @model_validator(mode="after")
    def _ordered(self) -> "LightSettings":
        if self.night_below > self.day_above:
            raise ValueError("`night_below` must not lie above `day_above`")
        return self


class AttributeSettings(Settings):
    """Classes by annotations of every frame, as in Transient Attributes: a line per frame
    with its file and then, behind tabs, `value,confidence` per attribute."""

    day: str = "daylight"
    """Name of the attribute that tells day."""
    night: str = "night"
    """Name of the attribute that tells night."""
    day_above: float = Field(0.8, ge=0, le=1)
    """A frame is day where its value lies above."""
    night_above: float = Field(0.6, ge=0, le=1)
    """A frame is night where its value lies above."""
    columns: tuple[str, ...] = TRANSIENT_ATTRIBUTES
    """Names of the columns behind the file's, in their order."""

    @model_validator(mode="after")
    def _known(self) -> "AttributeSettings":
        for name in (self.day, self.night):
            if name not in self.columns:
                raise ValueError(f"`{name}` is none of `columns`")
        return self


class AlignSettings(Settings):
    """Which frames show what the camera's others show, and from where."""

    furthest: float = Field(0.08, ge=0, lt=0.5)
    """Shift over the frame's width up to which a frame is moved back; further off it is
    rejected."""
    agreement: float = Field(0.6, ge=0, le=1)
    """Correlation of a frame's edges with the camera's, once moved back, over that of most of the
    camera's days; below it is rejected."""


class TimelapseSettings(Settings):
    """How frames become pairs. The source's folders are the cameras."""

    stamps: Literal["names", "exif", "none"] = "names"
    """Where a frame tells its time: its name, EXIF (DateTimeOriginal), or nowhere."""
    pattern: str | None = Field(None, min_length=2)
    """`strptime` pattern to look for in names, such as `%Y-%m-%dT%H%M`; None: YYYYMMDD_HHMMSS."""
    cameras: dict[str, CameraSettings] = Field(default_factory=dict)
    """Places of cameras, by the name of their folder, where they are known."""
    sun: SunSettings = SunSettings()
    """Classes by the sun's elevation, of cameras whose place is known."""
    light: LightSettings = LightSettings()
    """Classes by light, of all other cameras."""
    attributes: AttributeSettings = AttributeSettings()
    """Classes by annotations, where the source has `annotations`."""
    align: AlignSettings = AlignSettings()
    """Shifts of a camera, and frames of another scene."""
    dusk: Literal["leave", "night"] = "leave"
    """Whether dusks are left out or serve as nights."""
    days_per_night: int = Field(8, ge=1)
    """Days that a night is paired with, as far as there are so many. All of a camera's days are
    used about equally often."""
    split: Literal["camera", "date"] = "camera"
    """What never straddles splits: a camera, or a date (of nights as of days), which is by the sun
    where the camera's place is known, else in UTC."""

    @field_validator("cameras")
    @classmethod
    def _composed(cls, value: dict[str, CameraSettings]) -> dict[str, CameraSettings]:
        """By the names that a fetched source gives its folders."""
        cameras: dict[str, CameraSettings] = {}
        for name, place in value.items():
            if cameras.setdefault(composed(name), place) is not place:
                raise ValueError(f"names {name} twice, with its accents written in two ways")
        return cameras

    @model_validator(mode="after")
    def _dates_are_known(self) -> "TimelapseSettings":
        if self.stamps == "none" and self.split == "date":
            raise ValueError("`split: date` needs time stamps, but `stamps` is `none`")
        return self
