"""The parts of the live display and of `status`, as rich renderables and as plain lines."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch.report import wording
from hpsearch.report.moment import Moment, TrialProgress
from hpsearch.report.summary import StudySummary, correlation_warning
from hpsearch.train.gpu_use import GpuUse

STYLES = {
    "running": "cyan",
    "waiting": "dim",
    "completed": "green",
    "paused": "default",
    "diverged": "yellow",
    "infeasible": "magenta",
    "failed": "red",
}
"""Colour of each state."""

MAX_RUNNING_SHOWN = 8
MAX_GPUS_SHOWN = 4
SPARKLINE_WIDTH = 32


def state_line(moment: Moment) -> Table:
    """Trials by state on the left, the speed on the right."""
    summary = moment.summary
    total = f"{summary.num_trials:,}"
    if moment.budget.max_trials is not None:
        total += f" of {moment.budget.max_trials:,}"
    left = Text.assemble((total, "bold"), " trials")
    for state, count in summary.counts.items():
        left.append("  ")
        left.append(f"{count:,} {state}", style=STYLES[state])
    line = Table.grid(expand=True)
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(left, Text(speed_text(moment)))
    return line


def speed_text(moment: Moment) -> str:
    """All trials together, beside what they would reach if none had to wait for images."""
    speed, possible = moment.images_per_second, moment.step_images_per_second
    if not speed:
        return ""
    return f"{speed:,.0f} images/s" if possible is None else f"{speed:,.0f} of {possible:,.0f} possible images/s"


def gpu_table(gpus: Sequence[GpuUse]) -> Table:
    """How busy each GPU is and how full; the first few where there are many."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for gpu in gpus[:MAX_GPUS_SHOWN]:
        used, total = wording.size(gpu.used_bytes), wording.size(gpu.total_bytes)
        table.add_row(gpu.name, bar(gpu.busy_fraction, 1), f"{gpu.busy_fraction:.0%} busy", f"{used} of {total}")
    if len(gpus) > MAX_GPUS_SHOWN:
        busy = sum(gpu.busy_fraction for gpu in gpus) / len(gpus)
        table.add_row(Text(f"all {len(gpus):,}", style="dim"), bar(busy, 1), f"{busy:.0%} busy")
    return table


def rung_table(summary: StudySummary, *, with_correlation: bool = False) -> Table:
    """One row a rung."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("rung")
    titles = ["images", "reached", "promoted", "best", "median", *(["ρ with top"] if with_correlation else [])]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    if with_correlation:
        table.caption = "ρ with top: rank correlation of the values there with those of the same trials at the top rung"
        table.caption_justify = "left"
    for number, rung in enumerate(summary.rungs, start=1):
        top = number == len(summary.rungs)
        cells = [str(number), f"{rung.images:,}", f"{rung.num_reached:,}", "" if top else f"{rung.num_promoted:,}"]
        cells += [_score(rung.best), _score(rung.median)]
        if with_correlation:
            cells.append("" if top else "–" if rung.correlation is None else f"{rung.correlation:.2f}")
        table.add_row(*cells, style=None if rung.num_reached else "dim")
    return table


def best_line(moment: Moment) -> RenderableType:
    """The best trial, the way there, and its parameters."""
    summary, best = moment.summary, moment.summary.best
    if best is None:
        return Text("no trial has reached a rung yet", style="dim")
    value = best.values[best.images]
    path = wording.sparkline([step.value for step in summary.best_so_far], SPARKLINE_WIDTH)
    head = Text.assemble("best ", (moment.objective, "dim"), " ", (f"{value:.4f}", "bold green"))
    head.append(f"  trial {best.number}, {best.images:,} images  ")
    head.append(path, style="green")
    return Group(head, Text(wording.params(moment.best_params), style="dim"))


def running_table(running: dict[int, TrialProgress]) -> Table:
    """A bar for each running trial; the first few where there are many."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for number, progress in sorted(running.items())[:MAX_RUNNING_SHOWN]:
        speed = f"{progress.images_per_second:,.0f} images/s" if progress.images_per_second else ""
        done = f"{progress.images:,} / {progress.to_images:,}"
        table.add_row(f"trial {number}", bar(progress.images, progress.to_images), done, Text(speed, style="dim"))
    if len(running) > MAX_RUNNING_SHOWN:
        table.add_row(Text(f"and {len(running) - MAX_RUNNING_SHOWN:,} more", style="dim"))
    return table


def time_text(moment: Moment) -> str:
    """Time used of a run without a limit in time, and how long the last trial is away."""
    left = moment.seconds_to_last_trial
    used = wording.duration(moment.budget.seconds)
    return f"{used} used" if left is None else f"{used} used, about {wording.duration(left)} until all trials have begun"


def budget_table(moment: Moment) -> Table:
    """Time and GPU hours used, as bars where there is a limit."""
    budget = moment.budget
    table = Table.grid(padding=(0, 2, 0, 0))
    if budget.max_seconds is None:
        table.add_row("time", time_text(moment))
    else:
        left = f"{wording.duration(budget.seconds_left or 0)} left of {wording.duration(budget.max_seconds)}"
        table.add_row("time", bar(budget.seconds, budget.max_seconds), left)
    if budget.max_gpu_hours is not None:
        used = f"{budget.gpu_hours:.2f} of {budget.max_gpu_hours:g} GPU hours"
        table.add_row("GPUs", bar(budget.gpu_hours, budget.max_gpu_hours), used)
    elif budget.gpu_hours:
        table.add_row("GPUs", f"{budget.gpu_hours:.2f} GPU hours")
    return table


def study_group(moment: Moment) -> Group:
    """The whole body of the live panel."""
    parts: list[RenderableType] = [state_line(moment), Text()]
    parts += [rung_table(moment.summary), Text(), best_line(moment)]
    if moment.running:
        parts += [Text(), running_table(dict(moment.running))]
    if moment.gpus:
        parts += [Text(), gpu_table(moment.gpus)]
    return Group(*parts, Text(), budget_table(moment))


def status_group(name: str, phase: str, moment: Moment) -> Group:
    """What `python -m hpsearch.status` prints of the study `name`, which is in `phase`."""
    title = Text.assemble((wording.printable(name), "bold"), f"  {phase}")
    if moment.last_at:
        title.append(f"  last event {wording.duration(time.time() - moment.last_at)} ago", style="dim")
    parts: list[RenderableType] = [title, state_line(moment), Text()]
    parts += [rung_table(moment.summary, with_correlation=True), Text(), best_line(moment)]
    warning = correlation_warning(moment.summary)
    if warning:
        parts += [Text(), Text(warning, style="yellow")]
    return Group(*parts, Text(), budget_table(moment))


def plain_line(moment: Moment) -> str:
    """The same on one line, for a log."""
    summary, budget = moment.summary, moment.budget
    parts = [f"{summary.num_trials:,} trials: {wording.counts(summary.counts)}" if summary.num_trials else "no trial yet"]
    if summary.best is not None:
        best = summary.best
        parts.append(f"best {moment.objective} {best.values[best.images]:.4f} (trial {best.number}, {best.images:,} images)")
    if moment.images_per_second:
        parts.append(speed_text(moment))
    if moment.gpus:
        parts.append(f"GPUs {sum(gpu.busy_fraction for gpu in moment.gpus) / len(moment.gpus):.0%} busy")
    left = budget.seconds_left
    parts.append(time_text(moment) if left is None else f"{wording.duration(left)} left")
    return "; ".join(parts)


def bar(done: float, total: float) -> ProgressBar:
    """How much of `total` is done; full where there is nothing to do."""
    return ProgressBar(total=max(total, 1e-9), completed=done, width=24, complete_style="cyan", finished_style="cyan")


def _score(number: float | None) -> str:
    return "–" if number is None else f"{number:.4f}"
