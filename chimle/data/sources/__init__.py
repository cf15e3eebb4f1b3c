"""Sources of photographs: one module per kind, one interface (`base.Source`)."""

from chimle.data.sources.base import Place, Source
from chimle.data.sources.builtin import Builtin
from chimle.data.sources.folder import Folder
from chimle.settings.source import BuiltinSource, FolderSource, SourceSettings


def open_source(settings: SourceSettings, place: Place) -> Source:
    """The source that settings describe; nothing is touched yet."""
    match settings:
        case BuiltinSource():
            return Builtin()
        case FolderSource():
            return Folder(settings, place)
    raise NotImplementedError(settings.kind)
