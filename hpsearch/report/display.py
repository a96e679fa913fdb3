"""The live display of a run: a panel on a terminal, plain lines elsewhere, JSON lines for programs, or nothing."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hpsearch.report import wording
from hpsearch.report.moment import BudgetUse, Moment, TrialProgress, moment_of
from hpsearch.report.panels import bar, plain_line, study_group
from hpsearch.search.fold import Study

log = logging.getLogger(__name__)

DisplayMode = Literal["auto", "rich", "plain", "json", "quiet"]
SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_SUMMARIES = 0.25
REFRESHES_PER_SECOND = 4


class _Console(Console):
    """One that does not end the process when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Display:
    """Shows a run on stderr while it goes on; use it as a context manager."""

    def __init__(
        self,
        mode: DisplayMode = "auto",
        *,
        name: str = "",
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`auto` is `rich` on a terminal and `plain` elsewhere; `console` and `clock` are replaced by tests."""
        self._console = console or _Console(stderr=True, highlight=False)
        self.mode: DisplayMode = mode if mode != "auto" else "rich" if self._console.is_terminal else "plain"
        self._name = name
        self._clock = clock
        self._phase = ""
        self._moment: Moment | None = None
        self._moment_at = self._line_at = float("-inf")
        self._latest: tuple[Study, BudgetUse] | None = None
        self._progress: tuple[int, int, str] | None = None
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.mode == "rich":
            self._live = Live(
                get_renderable=self.render,
                console=self._console,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def phase(self, name: str) -> None:
        """Says what the run does now: searching, retraining and so on; no trial runs any more, or yet."""
        self._phase = name
        self._progress = None
        if self._latest is not None:
            study, budget = self._latest
            self._summarise(study, budget, {})
        self._line_at = self._clock()
        self._write("phase", name)

    def event(self, text: str) -> None:
        """Says that something happened: one line."""
        self._write("event", wording.printable(text))

    def tell(self, kind: str, **facts: Any) -> None:
        """Hands a program one event of the search, as a JSON line; people see its outcome in the panel and the lines."""
        if self.mode == "json":
            self._write_json(kind, {name: fact for name, fact in facts.items() if fact not in (None, "")})

    def update(self, study: Study, *, running: Mapping[int, TrialProgress], budget: BudgetUse) -> None:
        """Shows the study as it stands; cheap to call often, since it looks only a few times a second."""
        now = self._clock()
        self._latest = (study, budget)
        if self.mode == "quiet" or now - self._moment_at < SECONDS_BETWEEN_SUMMARIES:
            return
        self._summarise(study, budget, running)
        if self._moment is not None and self._is_line_due(now):
            self._write("status", plain_line(self._moment), **_numbers(self._moment))

    def _summarise(self, study: Study, budget: BudgetUse, running: Mapping[int, TrialProgress]) -> None:
        self._moment = moment_of(study, budget=budget, running=running)
        self._moment_at = self._clock()

    def progress(self, done: int, total: int, what: str) -> None:
        """Shows how far a longer step is: building the cache, retraining."""
        self._progress = (done, total, what)
        if self._is_line_due(self._clock()):
            self._write("progress", f"{what}: {done:,} of {total:,}", done=done, total=total, what=what)

    def render(self) -> RenderableType:
        """The panel as it is now."""
        parts: list[RenderableType] = []
        if self._moment is not None:
            since = self._clock() - self._moment_at
            used = dataclasses.replace(self._moment.budget, seconds=self._moment.budget.seconds + since)
            parts.append(study_group(dataclasses.replace(self._moment, budget=used)))
        if self._progress is not None:
            parts += [Text(), _progress_line(*self._progress)] if parts else [_progress_line(*self._progress)]
        title = " · ".join(part for part in (wording.printable(self._name), self._phase) if part)
        return Panel(Group(*parts), title=title or None, title_align="left", border_style="dim", padding=(0, 1))

    def _is_line_due(self, now: float) -> bool:
        due = self.mode in ("plain", "json") and now - self._line_at >= SECONDS_BETWEEN_LINES
        if due:
            self._line_at = now
        return due

    def _write(self, kind: str, text: str, **numbers: Any) -> None:
        if kind in ("phase", "event"):
            log.info("%s", text)
        try:
            self._print(kind, text, **numbers)
        except OSError:  # whoever read it has gone, a pipe or a terminal; the log has everything
            self._console.quiet = True

    def _print(self, kind: str, text: str, **numbers: Any) -> None:
        stamp = time.strftime("%H:%M:%S")
        if self.mode == "json":
            self._write_json(kind, {"text": text, **numbers})
        elif self.mode == "plain":
            self._console.out(f"{stamp} {text}", highlight=False)
        elif self.mode == "rich":
            style = "bold" if kind == "phase" else ""
            self._console.print(Text.assemble((stamp, "dim"), " ", (text, style)))

    def _write_json(self, kind: str, content: Mapping[str, Any]) -> None:
        self._console.out(json.dumps({"time": time.time(), "kind": kind, **content}), highlight=False)


def _progress_line(done: int, total: int, what: str) -> Table:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_row(what, bar(done, total), f"{done:,} / {total:,}")
    return line


def _numbers(moment: Moment) -> dict[str, Any]:
    best = moment.summary.best
    return {
        "trials": dict(moment.summary.counts),
        "best": best and {"trial": best.number, "images": best.images, "value": best.value, "params": best.params},
        "images_per_second": moment.images_per_second,
        "step_images_per_second": moment.step_images_per_second,
        "gpus": [dataclasses.asdict(gpu) for gpu in moment.gpus],
        "seconds": moment.budget.seconds,
        "seconds_left": moment.budget.seconds_left,
        "gpu_hours": moment.budget.gpu_hours,
    }
