"""Benchmarks. `chimle` comes first: it decides how threads wait, before torch is loaded."""

import chimle as chimle
