"""Sources of photographs: one module per kind, one interface (`base.Source`)."""

from chimle.data.fetch.sources.builtin import Builtin
from chimle.data.fetch.sources.folder import Folder
from chimle.data.fetch.sources.listing import Listing
from chimle.data.fetch.sources.protocol import Source, Workspace
from chimle.data.fetch.sources.s3_source import S3
from chimle.data.fetch.sources.url import Url
from chimle.errors import UserError
from chimle.settings.source import (
    BuiltinSource,
    CatalogueSource,
    FolderSource,
    S3Source,
    SourceSettings,
    UrlSource,
)


def open_source(settings: SourceSettings, place: Workspace) -> Source:
    """The source that settings describe; nothing is touched yet."""
    match settings:
        case BuiltinSource():
            return Builtin()
        case FolderSource():
            return Folder(settings, place)
        case UrlSource():
            return Listing(settings, place) if settings.listing else Url(settings, place)
        case S3Source():
            return S3(settings, place)
        case CatalogueSource():
            raise UserError(
                f"`source.name`: what `{settings.name}` stands for is to be found first"
            )
