"""Everything that follows from a run's journal, written again: trials.csv, TensorBoard's events, the page.

Nothing is locked: this also works on a run that still goes on, and shows it as it stands.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hpsearch.errors import InputError
from hpsearch.judge.audit_file import read_audit
from hpsearch.layout import Result, RunLayout
from hpsearch.report.mistakes import read_mistakes
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.render import write_page
from hpsearch.report.result import read_result
from hpsearch.report.tables import read_predictions, write_trials
from hpsearch.report.tensorboard import TensorBoardWriter
from hpsearch.search.fold import Study, fold
from hpsearch.search.journal import Event, read_events
from hpsearch.search.journal_file import is_driven
from hpsearch.yaml_text import YamlMistakeError, read_plain


def rebuild(run: Path, *, driven: bool | None = None) -> PageContent:
    """Writes tables and page of `run` again, and what its TensorBoard events lack; returns what the page tells.

    While a driver works on the run (`driven`; None: it is looked whether one of this machine does) its TensorBoard events are
    left to it.

    Raises:
        InputError: `run` is no run directory, or its study has not begun.
        StorageError: it cannot be read or written.
    """
    layout = RunLayout(run)
    events = run_events(layout)
    driven = is_driven(layout.journal) if driven is None else driven
    content = dataclasses.replace(content_of(layout, events), status=_status(read_result(layout), driven))
    if not driven:
        _write_tensorboard(layout, events, content)
    write_trials(layout, content.study)
    write_page(layout, content)
    return content


def write_page_of(layout: RunLayout, status: str | None = None) -> None:
    """Writes the page alone, from what the run directory holds; for the run's driver, who calls it now and then.

    `status`: where the result, which may be of an earlier call, does not know it.

    Raises:
        InputError: one of its files is broken, or the study has not begun.
        StorageError: the run directory cannot be read or written.
    """
    content = content_of(layout, run_events(layout))
    write_page(layout, content if status is None else dataclasses.replace(content, status=status))


def content_of(layout: RunLayout, events: list[Event]) -> PageContent:
    """What the page tells of the study of `events`, with the result and the configuration that its directory holds.

    Raises:
        InputError: one of these files is broken.
    """
    from hpsearch.search.importance import (
        importance,
        top_share,
    )  # optuna takes half a second to import, which `status` can do without

    result, study = read_result(layout), fold(events, str(layout.journal))
    return PageContent(
        name=layout.root.resolve().name,
        study=study,
        made_at=datetime.now().astimezone(),
        status=result["status"] if result else "running",
        result=result,
        predictions=read_predictions(layout),
        mistakes=read_mistakes(layout),
        audit=read_audit(layout.audit_json),
        config=_config(layout),
        importance=importance(study),
        top_share=top_share(study),
        path=_path(events),
    )


def run_events(layout: RunLayout) -> list[Event]:
    """The journal of a run.

    Raises:
        InputError: this is no run directory, or its study has not begun.
        StorageError: the journal is broken.
    """
    if not layout.journal.is_file():
        what = "is no run directory: it has no journal.jsonl" if layout.root.is_dir() else "is no directory"
        raise InputError(f"{layout.root} {what}. Give the directory of a run{_runs_near(layout.root)}.")
    events = read_events(layout.journal)
    if not any(event["event"] == "study" for event in events):
        raise InputError(f"{layout.root}: its study has not begun, so there is nothing to show yet.")
    return events


def _runs_near(given: Path) -> str:
    """Runs below `given` or beside it, to choose from."""
    for folder in (given, given.parent, Path("runs")):
        runs = sorted(journal.parent for journal in folder.glob("*/journal.jsonl"))
        if runs:
            return f", for example {', '.join(map(str, runs[:3]))}"
    return ", for example runs/NAME"


def _path(events: list[Event]) -> tuple[tuple[int, float], ...]:
    """How the best completed trial rose with the images trained."""
    study = Study()
    path: list[tuple[int, float]] = []
    for event in events:
        study.apply(event)
        if event["event"] == "rung" and event["images"] == study.top:
            best = max(path[-1][1], event["value"]) if path else event["value"]
            path.append((study.images_trained, best))
    return tuple(path)


def _config(layout: RunLayout) -> Mapping[str, Any]:
    if not layout.config.is_file():
        return {}
    try:
        config = read_plain(layout.config.read_text(encoding="utf-8"))
    except (YamlMistakeError, UnicodeDecodeError) as error:
        raise InputError(f"{layout.config} is not valid YAML ({error}). Mend or remove it.") from error
    return config if isinstance(config, dict) else {}


def _status(result: Result | None, driven: bool) -> str:
    """A run whose driver was killed says `running` for ever in its result."""
    if result is not None and result["status"] == "done" and not driven:
        return "done"
    return "running" if driven else "interrupted"


def _write_tensorboard(layout: RunLayout, events: list[Event], content: PageContent) -> None:
    writer = TensorBoardWriter(layout, content.study)
    writer.replay(events)
    if content.status == "done":
        writer.finished(content.study)
    if content.retraining is not None:
        writer.retrained(content.retraining)
