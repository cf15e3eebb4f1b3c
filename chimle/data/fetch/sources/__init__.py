"""Sources of images: one module per kind, one interface (`protocol.Source`)."""

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


def open_source(settings: SourceSettings, workspace: Workspace) -> Source:
    """The source that settings describe; nothing is read yet.

    Raises:
        UserError: they name an entry of the catalogue, which `resolve` replaces by its source.
    """
    match settings:
        case BuiltinSource():
            return Builtin()
        case FolderSource():
            return Folder(settings, workspace)
        case UrlSource():
            return Listing(settings, workspace) if settings.listing else Url(settings, workspace)
        case S3Source():
            return S3(settings, workspace)
        case CatalogueSource():
            raise UserError(f"`source.name`: resolve the catalogue entry `{settings.name}` first")
