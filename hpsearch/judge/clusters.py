"""Clusters of images that look alike: k-means, near-duplicates always together.

What is compared are robust statistics (`scan`: colours, layout, sharpness and noise, so that a cluster is mostly one source,
camera or kind of forgery) or a network's features (`network_features`), as the winners of the competition did.

Axis legend: `n` images, `f` features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.judge.duplicates import components, near_duplicates
from hpsearch.judge.scan import LAYOUT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.judge.scan import ImageScan

MAX_DEVIATION = 4.0
"""Scaled features are cut here, so that a few odd images do not get clusters of their own."""
MAX_FITTED = 50_000
"""Images that the centres are fitted on; more change them by nothing."""


def clusters_of(
    scan: ImageScan,
    num_clusters: int,
    *,
    seed: int,
    features_nf: NDArray[np.float32] | None = None,
    layout: bool = True,
) -> NDArray[np.int64]:
    """Cluster of each image, shape (n,); near-duplicates share that of the first of them.

    Args:
        scan: Of the images.
        num_clusters: Fewer where there are fewer images.
        seed: Of the first centres.
        features_nf: What is compared, shape (n, f); None: the statistics of `scan`.
        layout: Whether the layout of a picture is among those statistics: who is shown where. Without it a cluster is a kind
            of pixels: a source, a camera, a way to forge.
    """
    from sklearn.cluster import KMeans

    scaled_nf = scaled_features(scan, layout=layout) if features_nf is None else features_nf
    rows = np.random.default_rng(seed).permutation(len(scan))[:MAX_FITTED]
    means = KMeans(min(num_clusters, len(scan)), n_init=3, random_state=seed).fit(scaled_nf[rows])
    cluster_n = means.predict(scaled_nf).astype(np.int64)
    component_n = components(near_duplicates(scan), len(scan))
    _, first_c = np.unique(component_n, return_index=True)
    shared_n: NDArray[np.int64] = cluster_n[first_c[component_n]]
    return shared_n


def scaled_features(scan: ImageScan, *, layout: bool = True) -> NDArray[np.float64]:
    """Features about their median in units of their interquartile range, cut at `MAX_DEVIATION`; `layout` may be left out."""
    compared_nf = scan.features_nf if layout else np.delete(scan.features_nf, LAYOUT, axis=1)
    low_f, middle_f, high_f = np.percentile(compared_nf.astype(np.float64), (25, 50, 75), axis=0)
    scaled_nf = (compared_nf - middle_f) / np.maximum(high_f - low_f, 1e-3)
    return np.asarray(np.clip(scaled_nf, -MAX_DEVIATION, MAX_DEVIATION))
