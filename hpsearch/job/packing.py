"""What is probed before a search lets several trials share a GPU."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hpsearch.execute.packing import PackingJob
from hpsearch.job.plan import typical_params
from hpsearch.train.settings import TrialSettings, settings_from

if TYPE_CHECKING:
    from hpsearch.config import Params
    from hpsearch.job.inputs import Inputs


def packing_job(inputs: Inputs) -> PackingJob:
    """Each backbone of the space at its largest size and batch, which decide the memory."""
    sizes = inputs.stored_px_by_size()
    batches = [int(size) for size in inputs.space.values_of("batch_size")]
    largest: Params = {
        "image_px": max(sizes),
        "batch_size": max(batches, default=TrialSettings().batch_size),
        "se_reduction": "none",
    }
    settings = [
        dataclasses.replace(settings_from({**typical_params(inputs), **largest, "backbone": backbone}), weights="none")
        for backbone in inputs.space.values_of("backbone") or (TrialSettings().backbone,)
    ]
    return PackingJob(
        settings=tuple(settings),
        stored_px=tuple(sizes[one.image_px] for one in settings),
        precision=inputs.config.train.precision,
        plugins=inputs.config.plugins,
    )
