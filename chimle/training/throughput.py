"""Images per second of gradient steps, and how busy the GPU is."""

import time

import torch

IMAGES_PER_SECOND = "images_per_second"
UTILISATION = "gpu_utilisation_percent"
MEMORY = "gpu_memory_gib"


class Throughput:
    """Counts a run's images between two readings.

    Args:
        device: where the run computes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._asks_driver = device.type == "cuda"
        self.start()

    def start(self) -> None:
        """Count from here."""
        self._images, self._since = 0, time.monotonic()

    def add(self, images: int) -> None:
        """A gradient step of so many images is done."""
        self._images += images

    def read(self) -> dict[str, float]:
        """By name: images per second since the last reading, and on CUDA utilisation and memory.

        Memory is the most that PyTorch has held so far. Utilisation is the driver's, and left out
        where `nvidia-ml-py` is not installed. Call it when the device has done its work.
        """
        elapsed = time.monotonic() - self._since
        found = {IMAGES_PER_SECOND: self._images / max(elapsed, 1e-9)}
        if self.device.type == "cuda":
            found[MEMORY] = torch.cuda.max_memory_allocated(self.device) / 2**30
        if self._asks_driver:
            try:
                found[UTILISATION] = float(torch.cuda.utilization(self.device))
            except Exception:  # noqa: BLE001 - the driver's library has errors of its own
                self._asks_driver = False
        self.start()
        return found


def usage_text(usage: dict[str, float]) -> str:
    """A reading as a part of a line: `123 images/s, GPU 97 %, 31.2 GiB`."""
    parts = [f"{usage[IMAGES_PER_SECOND]:.3g} images/s"]
    if UTILISATION in usage:
        parts.append(f"GPU {usage[UTILISATION]:.0f} %")
    if MEMORY in usage:
        parts.append(f"{usage[MEMORY]:.1f} GiB")
    return ", ".join(parts)
