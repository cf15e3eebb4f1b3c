"""Typed, validated settings: the only reader of `params.yaml` and `presets/`.

A task's settings are a preset (`presets/<preset>.yaml`, one section per file of this package), what
the preset changes for the task (its `tasks.<task>`), and the task's own entries in `params.yaml`,
laid over each other field by field. A stage loads only the sections that it depends on.
"""
