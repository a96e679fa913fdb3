"""Augmentation on the batch: on any device, with parameters drawn for each image, the same for every class.

Read `catalogue` for what there is, `compose` for how it is put together, then `geometry` and `colour`; `labelled` for what
changes labels too.
"""

from hpsearch.train.augment import catalogue  # noqa: F401  # declares the augmentations that come with hpsearch
from hpsearch.train.augment.build import build_augmentation, cache_px
from hpsearch.train.augment.compose import Augmentation
from hpsearch.train.augment.labelled import LabelledAugmentation, build_labelled
from hpsearch.train.augment.registry import Parameter, integer, known_augmentations, number, register_augmentation, text

__all__ = [
    "Augmentation",
    "LabelledAugmentation",
    "Parameter",
    "build_augmentation",
    "build_labelled",
    "cache_px",
    "integer",
    "known_augmentations",
    "number",
    "register_augmentation",
    "text",
]
