"""Puts the page together: figures and tables into the template, Plotly and styles into the same file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import jinja2
import yaml
from markupsafe import Markup

from hpsearch.data.dataset import DEEPFAKE, REAL
from hpsearch.files import write_text
from hpsearch.layout import RunLayout
from hpsearch.report import wording
from hpsearch.report.facts import parameter_limit
from hpsearch.report.mistakes import Mistake, data_uri
from hpsearch.report.page import curves, detector, effects, finals, history, parallel, spending, trial_rows
from hpsearch.report.page.best_curves import best_figures
from hpsearch.report.page.configuration import fixed_settings, searched_settings
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.notes import honest_notes
from hpsearch.report.page.trial_marks import notes_of_trials


def write_page(layout: RunLayout, content: PageContent) -> None:
    """Replaces `report.html`.

    Raises:
        StorageError: the run directory cannot be written.
    """
    write_text(layout.page, render_page(content))


def render_page(content: PageContent) -> str:
    """The whole page; it asks the network for nothing."""
    return render("page.html.j2", content=content, **_views(content))


def render(template: str, **views: Any) -> str:
    """A template of this package with styles, script and Plotly in it."""
    from plotly.offline import get_plotlyjs

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(wording, name) for name in ("duration", "large", "value", "members")}
    environment.filters["data_uri"] = data_uri
    assets = {"css": Markup(_asset("page.css")), "script": Markup(_asset("page.js")), "plotly": Markup(get_plotlyjs())}
    return environment.get_template(template).render(**assets, **views)


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _views(content: PageContent) -> dict[str, Any]:
    has_values = any(trial.values for trial in content.study.trials.values())
    predictions = content.predictions
    return {
        "notes": honest_notes(content),
        "parameter_limit": parameter_limit(content.study),
        "settings": searched_settings(content),
        "fixed": fixed_settings(content),
        "history": history.history_figure(content) if has_values else None,
        "curves": curves.curves_figure(content) if has_values else None,
        "best_figures": best_figures(content),
        "effects": effects.effect_figures(content),
        "parallel": parallel.parallel_figure(content),
        "importance": effects.importance_figure(content),
        "spending": spending.spending_figures(content),
        "spending_sentence": spending.spending_sentence(content),
        "spending_caption": spending.spending_caption(content.study),
        "seconds": content.seconds,
        "detector": _detector(content) if predictions is not None else None,
        "mistakes": _mistakes(content),
        "confirmation": finals.told(content, "confirmation"),
        "finalists": finals.finalists_figure(content),
        "robustness": finals.robustness_figure(content),
        "robustness_rows": finals.robustness_rows(content),
        "num_degraded": (finals.told(content, "robustness") or {}).get("num_images", 0),
        "groups": finals.groups_figure(content),
        "rescaled": finals.told(content, "calibration"),
        "prior_shift": finals.told(content, "prior_shift"),
        "trial_notes": notes_of_trials(content),
        "columns": trial_rows.columns(content),
        "rows": trial_rows.rows(content),
        "source": _source(content),
        "links": _links(content),
    }


def _detector(content: PageContent) -> dict[str, Any]:
    predictions = content.predictions
    assert predictions is not None
    return {
        "roc": detector.roc_figures(predictions),
        "points": detector.operating_points(predictions),
        "calibration": detector.calibration_figure(predictions),
        "calibration_error": detector.calibration_error(predictions),
        "spread": detector.spread_figure(predictions),
        "confusion": detector.confusion(predictions),
        "num_real": int((predictions.labels_n == 0).sum()),
    }


def _mistakes(content: PageContent) -> dict[str, list[Mistake]]:
    """Pictures by heading."""
    groups = {"Real images, highest P(deepfake) first": REAL, "Deepfakes, lowest P(deepfake) first": DEEPFAKE}
    found = {title: [one for one in content.mistakes if one.label == label] for title, label in groups.items()}
    return {title: pictures for title, pictures in found.items() if pictures}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a result comes from."""

    command: str
    """As it was typed."""
    commit: str
    """Of the checkout; empty: not known."""
    data: str
    """Which images, and how many."""
    seed: str
    """Of sampler, splits and training."""
    versions: dict[str, str]
    """Package → version."""
    hardware: dict[str, str]
    """What → how much."""
    config: str
    """The rest of `config.yaml`."""


def _source(content: PageContent) -> Source:
    rest = dict(content.config)
    command, commit = str(rest.pop("command", "")), str(rest.pop("commit", "") or "")
    versions, hardware = rest.pop("versions", None) or {}, rest.pop("hardware", None) or {}
    return Source(
        command=command,
        commit=commit,
        data=_data(content),
        seed=str(content.study.header.get("seed", "")),
        versions={str(name): str(version) for name, version in versions.items()},
        hardware={str(name): _listed(amount) for name, amount in hardware.items()},
        config=yaml.safe_dump(rest, sort_keys=False, allow_unicode=True) if rest else "",
    )


def _links(content: PageContent) -> dict[str, str]:
    """Each file of the result → where its link leads; empty: no link, because it may leave the run directory.

    The result may be somebody else's, and escaping leaves `javascript:` as it is.
    """
    named = content.result["files"].values() if content.result else ()
    return {str(path): quote(str(path)) if _is_inside(str(path)) else "" for path in named}


def _is_inside(name: str) -> bool:
    """Whether `name` is relative and goes neither up nor, as `scheme:` or on Windows, elsewhere."""
    path = PurePosixPath(name)
    return bool(path.parts) and name.isprintable() and not (path.is_absolute() or ".." in path.parts or set(name) & set(":\\"))


def _data(content: PageContent) -> str:
    """Source and sizes, as far as `config.yaml` says them."""
    facts = content.config.get("data") or {}
    sizes = [
        f"{name} {split['images']:,} images, {split.get('deepfakes', 0):,} of them deepfakes"
        for name, split in facts.items()
        if isinstance(split, dict) and "images" in split
    ]
    source = content.study.header.get("identity", {}).get("data.source", "")
    return "; ".join(filter(None, [str(source), *sizes]))


def _listed(amount: object) -> str:
    return (", ".join(map(str, amount)) or "none") if isinstance(amount, list) else str(amount)
