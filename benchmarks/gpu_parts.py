"""The parts of `benchmarks.gpu`: each prints its findings, a line each."""

import argparse

import torch

from benchmarks.gpu_exactness import agreement, codes, repeat
from benchmarks.gpu_place import Place
from benchmarks.gpu_speed import speed
from chimle.device import choose_device

PARTS = {"codes": codes, "agreement": agreement, "repeat": repeat, "speed": speed}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    chosen = torch.device("cpu") if arguments.dry else choose_device()
    for line in PARTS[arguments.part](Place(chosen, arguments.dry)):
        print(line, flush=True)
