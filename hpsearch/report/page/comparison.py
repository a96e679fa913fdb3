"""Several runs on one page: scores side by side, how fast each got there, and where their best configurations differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.config import flatten
from hpsearch.files import write_text
from hpsearch.report import wording
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, axis, hover
from hpsearch.report.page.finals import told
from hpsearch.report.page.render import render

COLOURS = ("$completed", "$accent", "$running", "$infeasible", "$diverged", "$ink", "$muted")
"""One for each run; from the eighth on they begin again, dashed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One row of a table with a column for each run."""

    title: str
    """What it is."""
    cells: list[str]
    """One for each run; empty: absent."""

    @property
    def differs(self) -> bool:
        """Whether the runs disagree."""
        return len(set(self.cells)) > 1


def write_comparison(file: Path, contents: Sequence[PageContent]) -> None:
    """Writes the page that compares `contents`, in their order.

    Raises:
        StorageError: `file` cannot be written.
    """
    write_text(
        file,
        render(
            "comparison.html.j2",
            contents=contents,
            names=_names(contents),
            scores=_scores(contents),
            configurations=_configurations(contents),
            identities=_identities(contents),
            figure=_figure(contents),
            objectives=_objectives(contents),
        ),
    )


def _names(contents: Sequence[PageContent]) -> list[str]:
    """Names of the runs, numbered where two are the same."""
    names = [content.name for content in contents]
    return [f"{name} ({index})" if names.count(name) > 1 else name for index, name in enumerate(names, start=1)]


def _objectives(contents: Sequence[PageContent]) -> list[str]:
    """What the runs compared their trials by, each once."""
    return list(dict.fromkeys(content.score.title for content in contents))


def _scores(contents: Sequence[PageContent]) -> list[Line]:
    lines = {
        "status": [content.status for content in contents],
        "validation AUC, retrained": [_auc(content) for content in contents],
        "95 % interval": [_interval(content) for content in contents],
        "holdout AUC": [_holdout(content) for content in contents],
        "mean of fresh trainings": [_confirmed(content) for content in contents],
        "best trial": [_best(content) for content in contents],
        "backbone": [str(content.best.params.get("backbone", "")) if content.best else "" for content in contents],
        "parameters": [_parameters(content) for content in contents],
        "trials": [f"{content.summary.num_trials:,}" for content in contents],
        "completed": [f"{content.summary.counts.get('completed', 0):,}" for content in contents],
        "images trained on": [wording.large(_images(content)) for content in contents],
        "time": [wording.duration(sum(content.seconds.values())) for content in contents],
        "GPU hours": [f"{content.gpu_hours:.2f}" if content.gpu_hours else "" for content in contents],
    }
    return [Line(title=title, cells=cells) for title, cells in lines.items() if any(cells)]


def _holdout(content: PageContent) -> str:
    holdout = told(content, "holdout")
    return "{:.4f} ({:.4f} – {:.4f})".format(holdout["auc"], *holdout["auc_ci95"]) if holdout else ""


def _confirmed(content: PageContent) -> str:
    confirmation = told(content, "confirmation")
    means = {one["trial"]: one["mean"] for one in confirmation["finalists"]} if confirmation else {}
    mean = means.get(confirmation["winner"]) if confirmation else None
    return "" if mean is None else f"{mean:.4f}"


def _auc(content: PageContent) -> str:
    val = content.result["val"] if content.result else None
    return f"{val['auc']:.4f}" if val else ""


def _interval(content: PageContent) -> str:
    val = content.result["val"] if content.result else None
    return "{:.4f} – {:.4f}".format(*val["auc_ci95"]) if val else ""


def _best(content: PageContent) -> str:
    best = content.best
    if best is None or best.value is None:
        return ""
    return f"{best.value:.4f} {content.objective} at {best.images:,} images"


def _parameters(content: PageContent) -> str:
    best = content.result["best"] if content.result else None
    return wording.large(best["num_parameters"]) if best else ""


def _images(content: PageContent) -> int:
    return content.result["images_trained"] if content.result else content.study.images_trained


def _configurations(contents: Sequence[PageContent]) -> list[Line]:
    """Every parameter of any best configuration, those that differ first."""
    params = [content.best.params if content.best else {} for content in contents]
    names = dict.fromkeys(name for one in params for name in one)
    lines = [Line(title=name, cells=[wording.value(one[name]) if name in one else "" for one in params]) for name in names]
    return sorted(lines, key=lambda line: not line.differs)


def _identities(contents: Sequence[PageContent]) -> list[Line]:
    """What the studies were asked for, where they disagree: then their scores may not compare."""
    keys = ("rungs", "eta", "seed", "sampler")
    asked = [
        {**{key: content.study.header.get(key, "") for key in keys}, **flatten(content.study.header.get("identity", {}))}
        for content in contents
    ]
    titles = dict.fromkeys(title for one in asked for title in one)
    lines = [Line(title=title, cells=[str(one.get(title, "")) for one in asked]) for title in titles]
    return [line for line in lines if line.differs]


def _figure(contents: Sequence[PageContent]) -> Figure:
    objectives = _objectives(contents)
    traces = []
    for index, (content, name) in enumerate(zip(contents, _names(contents), strict=True)):
        end = [(content.study.images_trained, content.path[-1][1])] if content.path else []
        steps = [*content.path, *end]
        dash = "solid" if index < len(COLOURS) else "dash"
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": hover(name if len(objectives) == 1 else f"{name}: {content.score.title}"),
                "x": [images for images, _ in steps],
                "y": [value for _, value in steps],
                "line": {"shape": "hv", "width": 2.2, "color": COLOURS[index % len(COLOURS)], "dash": dash},
                "hovertemplate": f"{hover(name)}<br>%{{y:.4f}} after %{{x:,}} images<extra></extra>",
            }
        )
    return Figure(
        name="paths",
        label="Best completed trial of each run by images trained in the whole study.",
        traces=traces,
        layout={
            "xaxis": axis("Images trained in the whole study", rangemode="tozero"),
            "yaxis": axis(f"Best {' or '.join(objectives)} at the full budget"),
            "showlegend": True,
        },
        height_px=420,
    )
