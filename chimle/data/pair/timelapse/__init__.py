"""Timelapse: frames of fixed cameras become pairs of a night and several days.

`frames` reads the time of each frame, `light_classes` classifies night, dusk and day, `align`
registers frames, `repeats` drops repeated ones, `night_day_pairs` pairs them. Every frame left out
has a reason in the manifest.
"""
