"""Sources of a task's images: one class per kind."""

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from chimle.settings.settings_base import Settings, TaskSettings


class Selection(Settings):
    """Which of a source's files are targets, and what belongs to them.

    Paths are relative to the project (`folder`), or to what has arrived (archives unpacked side by
    side, a bucket's prefix). They may be patterns (`chimle.io.patterns`); what stands for the
    wildcards leads the names of the images.
    """

    path: str = "."
    """Directory of the target images."""
    inputs: str | None = None
    """Directory with the matching inputs (same relative names but for the extension); None:
    inputs are made by degrading the targets."""
    side_by_side: Literal["left", "right"] | None = None
    """Every file holds input and target beside each other; which half is the input."""
    annotations: str | None = None
    """Text file about the images, such as a time-lapse camera's attributes."""
    damaged: Literal["refuse", "skip"] = "refuse"
    """What to do with an image that cannot be read: `refuse` stops, `skip` leaves it and its
    partner out and lists it."""

    @model_validator(mode="after")
    def _one_way_to_inputs(self) -> "Selection":
        if self.inputs and self.side_by_side:
            raise ValueError("`inputs` and `side_by_side` exclude each other")
        return self


class BuiltinSource(Settings):
    """The colour photographs of scikit-image."""

    kind: Literal["builtin"] = "builtin"
    """Kind of the source; the default."""


class FolderSource(Selection):
    """A directory of yours."""

    kind: Literal["folder"]
    """Kind of the source."""
    path: str
    """Directory of the target images, relative to the project."""


class ArchiveSettings(Settings):
    """One file behind an address."""

    address: str = Field(min_length=1)
    """`https://`, `http://` or `file://`, or a path relative to the project."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """SHA-256 of the file; None: the one that it had when it was first fetched is recorded in
    `data/checksums.json` and holds from then on."""


class UnpackedSelection(Selection):
    """A selection of what archives hold, with bounds on what is unpacked."""

    most_files: int = Field(2_000_000, ge=1)
    """An archive with more entries is refused."""
    most_bytes: int = Field(500 * 2**30, ge=1)
    """Bytes that an archive may unpack to in all."""

    @field_validator("path", "inputs", "annotations")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        if value is not None and (PurePath(value).is_absolute() or ".." in PurePath(value).parts):
            raise ValueError("must stay within what is unpacked: no `..`, no leading `/`")
        return value


class ListingSettings(Settings):
    """A CSV file with the address of an image in every row."""

    file: str = Field(min_length=1)
    """The CSV file, relative to the project; its first row names the columns."""
    address_column: str
    """Column of the addresses."""
    name_column: str
    """Column of the names that the images get, without ending."""


class UrlSource(UnpackedSelection):
    """Archives or single images at addresses."""

    kind: Literal["url"]
    """Kind of the source."""
    archives: tuple[ArchiveSettings, ...] = ()
    """What to fetch; a bare address stands for `{address: ...}`."""
    listing: ListingSettings | None = None
    """A list of images to fetch instead."""
    timeout_seconds: float = Field(30.0, gt=0, le=86400)
    """A server that is silent for so long has failed; a day at most."""
    retries: int = Field(5, ge=0)
    """Further attempts after a failure that may pass, each after twice the pause of the last."""

    @model_validator(mode="after")
    def _one_way_to_addresses(self) -> "UrlSource":
        if bool(self.archives) == bool(self.listing):
            raise ValueError("needs either `archives`, addresses to fetch, or `listing`")
        return self

    @field_validator("archives", mode="before")
    @classmethod
    def _bare_addresses(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [{"address": one} if isinstance(one, str) else one for one in value]
        return value


class S3Source(UnpackedSelection):
    """A bucket's prefix, or one archive in a bucket. Credentials are boto3's business."""

    kind: Literal["s3"]
    """Kind of the source."""
    address: str = Field(pattern="^s3://[^/@]+(/.*)?$")
    """`s3://BUCKET/PREFIX/`, or `s3://BUCKET/KEY` of an archive."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """SHA-256 of the archive; see `ArchiveSettings`."""
    endpoint: str | None = None
    """Address of another server than Amazon's that speaks the protocol."""
    region: str | None = None
    """Region; None: from the usual chain."""
    profile: str | None = None
    """Profile of the usual credential chain."""
    unsigned: bool = False
    """Read a public bucket without credentials."""
    transfers: int = Field(8, ge=1, le=64)
    """Objects fetched at once."""

    @model_validator(mode="after")
    def _sha256_is_of_one_file(self) -> "S3Source":
        if self.sha256 and (self.address.endswith("/") or self.address.count("/") < 3):
            raise ValueError("`sha256` is of an archive; a prefix has none")
        return self


class CatalogueSource(Settings):
    """A data set of `data/catalogue.yaml`."""

    kind: Literal["catalogue"]
    """Kind of the source."""
    name: str = Field(min_length=1)
    """Its name there."""


SourceSettings = Annotated[
    BuiltinSource | FolderSource | UrlSource | S3Source | CatalogueSource,
    Field(discriminator="kind"),
]
"""Any kind of source, distinguished by `kind`."""


class FetchStageSettings(TaskSettings):
    """What the fetched files of a task depend on, beside the source itself."""

    source: SourceSettings = BuiltinSource()
    """Where the task's images come from."""

    @field_validator("source", mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        """A null stands for an absent field; no kind is the built-in one."""
        if isinstance(value, dict):
            return {"kind": "builtin"} | {k: v for k, v in value.items() if v is not None}
        return value
