"""Prefect flows over DVC: what runs when, where, with which retries, on whose GPU. No numerics."""

import os

from chimle.io.loopback import bypass_proxy

# A proxy cannot reach a server on this machine.
os.environ.update(bypass_proxy(os.environ))
# Prefect's ephemeral server creates its database first; beside a training its 20 seconds are too
# few. Prefect reads this when it is imported.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
# Prefect's server, a temporary one too, and its client report to its makers unless these say no.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
