"""How well the retrained model detects: ROC, calibration, and how its answers are spread. Probabilities are P(deepfake)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.metrics import FPR_POINTS
from hpsearch.report.page.figure import Figure, Trace, axis
from hpsearch.report.tables import Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUM_BINS = 10
MAX_ROC_POINTS = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatingPoint:
    """The model at one false-positive rate."""

    fpr: float
    """Highest allowed share of real images called fake."""
    tpr: float
    """Share of deepfakes found at most at that rate."""
    threshold: float
    """Smallest P(deepfake) that is called fake there."""
    num_false: int
    """Real images called fake there."""


def operating_points(predictions: Predictions) -> list[OperatingPoint]:
    """The model at the competition's false-positive rates."""
    from sklearn.metrics import roc_curve

    fpr_t, tpr_t, threshold_t = roc_curve(predictions.labels_n, predictions.probabilities_n, drop_intermediate=False)
    num_real = int(np.sum(predictions.labels_n == 0))
    points = []
    for allowed in FPR_POINTS:
        at = int(np.flatnonzero(fpr_t <= allowed)[-1])
        points.append(
            OperatingPoint(
                fpr=allowed,
                tpr=float(tpr_t[at]),
                threshold=float(threshold_t[at]),
                num_false=round(float(fpr_t[at]) * num_real),
            )
        )
    return points


def roc_figures(predictions: Predictions) -> list[Figure]:
    """The ROC curve, whole and at small false-positive rates."""
    num_real = int(np.sum(predictions.labels_n == 0))
    fpr_t, tpr_t = _roc(predictions)
    points = operating_points(predictions)
    whole = Figure(
        name="roc",
        label="ROC curve: true-positive rate by false-positive rate.",
        traces=[_chance([0, 1], [0, 1]), _curve(fpr_t, tpr_t), _marked(points, text=False)],
        layout={
            "xaxis": axis("False-positive rate (real images called fake)", range=[-0.01, 1.01]),
            "yaxis": axis("True-positive rate (deepfakes found)", range=[-0.01, 1.01]),
            "showlegend": False,
        },
    )
    smallest = min(1 / num_real, FPR_POINTS[-1]) / 2
    grid = np.geomspace(smallest, 1, 60).tolist()
    positive = fpr_t > 0
    start = float(tpr_t[~positive].max())
    small = Figure(
        name="roc-small",
        label="The same ROC curve at small false-positive rates, on a logarithmic axis.",
        traces=[
            _chance(grid, grid),
            _curve(np.concatenate([[smallest], fpr_t[positive]]), np.concatenate([[start], tpr_t[positive]])),
            _marked(points, text=True),
        ],
        layout={
            "xaxis": axis("False-positive rate (logarithmic)", type="log", range=[float(np.log10(smallest)), 0], dtick=1),
            "yaxis": axis("True-positive rate", range=[-0.01, 1.01]),
            "showlegend": False,
            "shapes": [_below_one_image(smallest, 1 / num_real)],
        },
    )
    return [whole, small]


def _roc(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.metrics import roc_curve

    fpr_t, tpr_t, _ = roc_curve(predictions.labels_n, predictions.probabilities_n)
    keep = np.unique(np.linspace(0, len(fpr_t) - 1, min(len(fpr_t), MAX_ROC_POINTS)).round().astype(int))
    return fpr_t[keep], tpr_t[keep]


def _curve(fpr_t: NDArray[np.float64], tpr_t: NDArray[np.float64]) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": fpr_t.round(6).tolist(),
        "y": tpr_t.round(6).tolist(),
        "line": {"color": "$completed", "width": 2.4},
        "hovertemplate": "FPR %{x:.4f}<br>TPR %{y:.4f}<extra></extra>",
    }


def _chance(x: list[float], y: list[float]) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "line": {"color": "$muted", "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }


def _marked(points: list[OperatingPoint], *, text: bool) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers+text" if text else "markers",
        "x": [point.fpr for point in points],
        "y": [point.tpr for point in points],
        "text": [f"{point.tpr:.3f}" for point in points],
        "textposition": "top center",
        "marker": {"color": "$accent", "size": 9},
        "hovertemplate": "TPR %{y:.4f} at FPR %{x:g}<extra></extra>",
    }


def _below_one_image(low: float, high: float) -> dict[str, Any]:
    """The rates that are less than one real image."""
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": low,
        "x1": high,
        "y0": 0,
        "y1": 1,
        "fillcolor": "$muted@0.12",
        "line": {"width": 0},
    }


def calibration_figure(predictions: Predictions) -> Figure:
    """Share of deepfakes by P(deepfake), in groups of equally many images with 95 % intervals (Wilson)."""
    bins = _bins(predictions)
    return Figure(
        name="calibration",
        label="Calibration: share of deepfakes by the probability that the model gives.",
        traces=[
            _chance([0, 1], [0, 1]),
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [mean for mean, _, _, _, _ in bins],
                "y": [share for _, share, _, _, _ in bins],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [high - share for _, share, _, high, _ in bins],
                    "arrayminus": [share - low for _, share, low, _, _ in bins],
                    "color": "$completed@0.6",
                    "thickness": 1.4,
                    "width": 3,
                },
                "customdata": [count for *_, count in bins],
                "line": {"color": "$completed", "width": 1.4},
                "marker": {"color": "$completed", "size": 8},
                "hovertemplate": "said %{x:.3f}<br>were %{y:.3f}<br>%{customdata} images<extra></extra>",
            },
        ],
        layout={
            "xaxis": axis("P(deepfake) that the model gives", range=[-0.02, 1.02]),
            "yaxis": axis("Share that are deepfakes", range=[-0.02, 1.02]),
            "showlegend": False,
        },
    )


def _bins(predictions: Predictions) -> list[tuple[float, float, float, float, int]]:
    """(mean probability, share of deepfakes, lower and upper end of its interval, images) by rising probability."""
    from scipy.stats import binomtest

    order = np.argsort(predictions.probabilities_n, kind="stable")
    bins = []
    for chunk in np.array_split(order, min(NUM_BINS, len(order))):
        fakes, count = int(predictions.labels_n[chunk].sum()), len(chunk)
        interval = binomtest(fakes, count).proportion_ci(method="wilson")
        mean = float(predictions.probabilities_n[chunk].mean())
        bins.append((mean, fakes / count, float(interval.low), float(interval.high), count))
    return bins


def calibration_error(predictions: Predictions) -> float:
    """Expected calibration error over groups of equally many images."""
    bins = _bins(predictions)
    return sum(abs(mean - share) * count for mean, share, _, _, count in bins) / sum(count for *_, count in bins)


def spread_figure(predictions: Predictions) -> Figure:
    """How the answers for real images and for deepfakes are spread."""
    edges = np.linspace(0, 1, 26)
    centres = ((edges[1:] + edges[:-1]) / 2).tolist()
    traces = []
    for label, name, colour in ((0, "real", "$completed"), (1, "deepfake", "$accent")):
        given = predictions.probabilities_n[predictions.labels_n == label]
        counts = np.histogram(given, bins=edges)[0]
        traces.append(
            {
                "type": "bar",
                "name": f"{name} ({len(given):,})",
                "x": centres,
                "y": (100 * counts / max(len(given), 1)).tolist(),
                "customdata": counts.tolist(),
                "width": 0.04,
                "marker": {"color": f"{colour}@0.6", "line": {"width": 0}},
                "hovertemplate": f"{name}<br>P(deepfake) near %{{x:.2f}}<br>%{{customdata}} images<extra></extra>",
            }
        )
    return Figure(
        name="spread",
        label="Distribution of P(deepfake) for real images and for deepfakes.",
        traces=traces,
        layout={
            "barmode": "overlay",
            "bargap": 0,
            "xaxis": axis("P(deepfake) that the model gives", range=[0, 1]),
            "yaxis": axis("Share of the class (%)"),
        },
    )


def confusion(predictions: Predictions) -> dict[str, dict[str, int]]:
    """Images by class and by answer at threshold 0.5."""
    called_fake = predictions.probabilities_n >= 0.5
    return {
        truth: {"called real": int(np.sum(of & ~called_fake)), "called fake": int(np.sum(of & called_fake))}
        for truth, of in (("real", predictions.labels_n == 0), ("deepfake", predictions.labels_n == 1))
    }
