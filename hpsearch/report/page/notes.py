"""What a reader must know before believing the numbers: said first, and only where it is so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hpsearch.report.page.configuration import searched_settings
from hpsearch.report.page.content import PageContent
from hpsearch.report.summary import correlation_warning
from hpsearch.search.types import UNUSABLE


def honest_notes(content: PageContent) -> list[str]:
    """One sentence or two for each reservation, the weightiest first."""
    return [*_about_the_run(content), *_about_the_score(content), *_about_the_search(content)]


def _about_the_run(content: PageContent) -> Iterator[str]:
    last = datetime.fromtimestamp(content.study.last_at, tz=content.made_at.tzinfo)
    if content.status == "running":
        yield f"This run has not ended: every number here may still change. Its last event is of {last:%-d %B, %H:%M}."
    elif content.status == "interrupted":
        yield f"This run was interrupted; its last event is of {last:%-d %B, %H:%M}. Its command with its --name continues it."
        if content.result is not None and "error" in content.result:
            yield f"What ended it: {content.result['error']}"
    best = content.best
    if best is not None and best.images < content.study.top:
        full = sum(content.study.top in trial.values for trial in content.study.usable())
        so_many = "Only 1 usable trial has" if full == 1 else f"{full or 'No'} usable trials have"
        yield (
            f"{so_many} reached the full budget of {content.study.top:,} images; the best one was compared at {best.images:,}."
        )


def _about_the_score(content: PageContent) -> Iterator[str]:
    split = content.result["val"] if content.result else None
    if split is None:
        return
    if note := split.get("note"):
        yield f"{note[0].upper()}{note[1:].rstrip('.')}."
    elif "holdout" not in (content.result or {}):
        yield (
            f"The {split['num_images']:,} validation images also chose this configuration among "
            f"{content.summary.num_trials:,} trials, so the score leans high; "
            "forgeries of a kind that is not among them will be harder."
        )
    yield (
        "The interval says how far another draw of such images could move the AUC; "
        "it knows nothing of another training or another kind of forgery."
    )
    predictions = content.predictions
    if predictions is not None:
        num_real = int((predictions.labels_n == 0).sum())
        if num_real < 5000:
            yield (
                f"With {num_real:,} real images a false-positive rate of 0.001 is {num_real / 1000:.1f} images: "
                "the true-positive rate there hangs on single images."
            )


def _about_the_search(content: PageContent) -> Iterator[str]:
    if warning := correlation_warning(content.summary):
        yield warning
    edges = [setting for setting in searched_settings(content) if setting.at_edge]
    if edges:
        listed = ", ".join(f"{setting.name} ({setting.value} of {setting.options})" for setting in edges)
        yield f"The best configuration lies at the edge of the range of {listed}; a wider range may hold a better one."
    bad = {outcome.value: content.summary.counts.get(outcome.value, 0) for outcome in sorted(UNUSABLE)}
    if any(bad.values()):
        total = sum(bad.values())
        listed = ", ".join(f"{count:,} {outcome}" for outcome, count in bad.items() if count)
        verb = "trial gave" if total == 1 else "trials gave"
        yield f"{total:,} of {content.summary.num_trials:,} {verb} no usable result ({listed}); the table of trials says why."
