"""Typed, validated settings: the only reader of `params.yaml` and `presets/`.

A run's settings are a preset (`presets/<preset>.yaml`, one section per class below), what the
preset changes for the task (its `tasks.<task>`), and the task's own entries in `params.yaml`, laid
over each other field by field.
"""

from chimle.settings.evaluate import EvaluateSettings as EvaluateSettings
from chimle.settings.pair import PairSettings as PairSettings
from chimle.settings.perceptual import PerceptualSettings as PerceptualSettings
from chimle.settings.reading import build_settings as build_settings
from chimle.settings.reading import load_settings as load_settings
from chimle.settings.reading import read_yaml as read_yaml
from chimle.settings.run import RunSettings as RunSettings
from chimle.settings.search import SearchSettings as SearchSettings
from chimle.settings.settings_base import Settings as Settings
from chimle.settings.source import ArchiveSettings as ArchiveSettings
from chimle.settings.source import BuiltinSource as BuiltinSource
from chimle.settings.source import CatalogueSource as CatalogueSource
from chimle.settings.source import FolderSource as FolderSource
from chimle.settings.source import ListingSettings as ListingSettings
from chimle.settings.source import S3Source as S3Source
from chimle.settings.source import SourceSettings as SourceSettings
from chimle.settings.source import UrlSource as UrlSource
from chimle.settings.timelapse import TimelapseSettings as TimelapseSettings
from chimle.settings.tower import TowerSettings as TowerSettings
from chimle.settings.train import TrainSettings as TrainSettings
