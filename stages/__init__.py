"""Stages of the pipeline. `chimle` comes first: it decides how threads wait, before torch loads."""

import chimle as chimle
