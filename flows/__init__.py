"""Prefect flows over DVC: what runs when, where, with which retries, on whose GPU. No numerics."""

import os

# Prefect's own short-lived server makes its database first, for which 20 seconds are too few where
# a training runs beside it. Read when Prefect is imported.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
