"""Durations in words."""


def duration(seconds: float) -> str:
    """`2h05m`, `3m10s` or `7s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
