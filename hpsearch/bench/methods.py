"""The search methods that are compared, and what they are compared on, by name."""

from __future__ import annotations

from typing import get_args

from hpsearch.config import Sampler

RAY = "ray"
"""The method that others are compared with."""
PEERS = (RAY, "full", "one-step")
"""Ray's recipe; random configurations trained in full; random ones trained for one step, the best of them kept."""
OWN = get_args(Sampler)
"""Our engine with each of its samplers."""
SUITES = ("ftpfn", "tables")
"""Learning curves of the FT-PFN prior; real final values of NAS-Bench-201, FCNet and HPOBench."""
METHODS = (*PEERS, *OWN)
"""All of them."""
