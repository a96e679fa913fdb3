"""Distributed hyperparameter search for image-deepfake detectors.

The package is read in the order of its flow: `data`, `model`, `train`, `judge`, `search`, `execute`, `final`, `report`, `run`.
Importing it loads neither torch nor ray.
"""

__version__ = "0.1.0"
