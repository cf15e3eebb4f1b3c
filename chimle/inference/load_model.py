"""A model from an address, on the device that is to draw its samples."""

from pathlib import Path
from typing import get_args

from chimle.bundles.addresses import open_bundle
from chimle.bundles.task_models import named_model
from chimle.device import Precision, choose_device
from chimle.errors import UserError
from chimle.inference.model import Model
from chimle.io.urls import plain


def load(address: str | Path, precision: Precision = "fp32") -> Model:
    """Load a model bundle, on the device of `CHIMLE_DEVICE` or the fastest one available.

    Args:
        address: a folder or file, `s3://bucket/name`, `hf://user/name@revision`,
            `git+REPOSITORY@REVISION:models/task`; the name of a task: its model of this project,
            else the pretrained one of the package; or `pretrained:TASK`: that one in any case.
        precision: `bf16` draws faster where the device computes it, on GPUs and on processors with
            AVX512-BF16 or AMX. A sample then differs by a few levels of 255 from that of `fp32`,
            and agrees with its input as well.

    Raises:
        UserError: there is no bundle of this version at `address`, it is damaged, or there is no
            such precision.
    """
    if precision not in get_args(Precision):
        raise UserError(f"`precision` is {' or '.join(get_args(Precision))}, not {precision!r}")
    device = choose_device()
    bundle = open_bundle(named_model(str(address)), str(device))
    model = Model(bundle, device, precision, plain(str(address)))
    _ = model.degradation  # A damaged one is named now, not in the middle of a run.
    return model
