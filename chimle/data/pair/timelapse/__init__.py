"""Frames of fixed cameras become pairs of a night and many plausible days.

`frames` reads when each was taken, `classes` tells night, dusk and day, `align` finds frames that
show the scene from where the others do, `plan` pairs. Every frame that is left out has its reason.
"""
