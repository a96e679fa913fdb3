"""What the search benchmark prints, writes and draws."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpsearch.bench.methods import RAY
from hpsearch.bench.search_quality import Case, Results
from hpsearch.config import SearchConfig

POOLED = "all"
"""Budget of a row over all budgets."""

Regrets = dict[tuple[str, str], dict[int, NDArray[np.float64]]]
"""(suite, method) → task → regret by budget, the mean over the seeds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One method at one budget; means over tasks."""

    suite: str
    """Where the tasks come from."""
    method: str
    """A peer, or one of our samplers."""
    budget: int | str
    """Full trainings; `all`: the mean over the budgets."""
    regret: float
    """Mean over the tasks; 0 is the best there is, 1 the median of random configurations."""
    standard_error: float
    """Of the regret."""
    gain_over_ray: float
    """Mean of Ray's regret minus this one, task by task."""
    gain_standard_error: float
    """Of the gain, from the paired differences."""
    num_tasks: int
    """Tasks that count."""


def collect(cases: Sequence[Case], results: Results) -> Regrets:
    """Results by suite, method and task, over the seeds that are there."""
    found: dict[tuple[str, str], dict[int, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for case in cases:
        regrets = results.regrets(case)
        if regrets is not None:
            found[case.suite, case.method][case.task].append(regrets)
    return {key: {task: np.mean(runs, axis=0) for task, runs in by_task.items()} for key, by_task in found.items()}


def make_rows(regrets: Regrets, budgets: Sequence[int]) -> list[Row]:
    """Rows in the order of suites, methods and budgets, the mean over the budgets last."""
    rows = []
    for (suite, method), by_task in regrets.items():
        ray = regrets.get((suite, RAY), by_task)
        tasks = [task for task in by_task if task in ray]
        found_tb = _with_mean(np.array([by_task[task] for task in tasks]))
        gains_tb = _with_mean(np.array([ray[task] for task in tasks])) - found_tb
        heads: list[int | str] = [*budgets, POOLED]
        for column, budget in enumerate(heads):
            rows.append(
                Row(
                    suite=suite,
                    method=method,
                    budget=budget,
                    regret=float(found_tb[:, column].mean()),
                    standard_error=_standard_error(found_tb[:, column]),
                    gain_over_ray=float(gains_tb[:, column].mean()),
                    gain_standard_error=_standard_error(gains_tb[:, column]),
                    num_tasks=len(tasks),
                )
            )
    return rows


def _with_mean(values_tb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([values_tb, values_tb.mean(axis=1)])


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def as_text(rows: Sequence[Row]) -> str:
    """One line a method: regret and gain over Ray at each budget."""
    lines: list[str] = []
    by_method: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_method[row.suite, row.method].append(row)
    for (suite, method), own in by_method.items():
        if not any(line.startswith(suite) for line in lines):
            heads = "".join(f"{row.budget:>15}" for row in own)
            title = f"{suite}, {own[0].num_tasks} tasks: regret at each budget, then gain over Ray's recipe"
            lines += ["", title, " " * 11 + heads * 2]
        regrets = "".join(f"{f'{row.regret:.3f} ± {row.standard_error:.3f}':>15}" for row in own)
        gains = "".join(f"{f'{row.gain_over_ray:+.3f} ± {row.gain_standard_error:.3f}':>15}" for row in own)
        lines.append(f"  {method:<9}{regrets}{gains}")
    return "\n".join(lines)


def write_json(rows: Sequence[Row], file: Path) -> None:
    """`rows` by budget, the same over all budgets as `pooled`, and the sampler that hpsearch uses by default."""
    by_budget = [asdict(row) for row in rows if row.budget != POOLED]
    pooled = [asdict(row) for row in rows if row.budget == POOLED]
    content = {"rows": by_budget, "pooled": pooled, "default": SearchConfig().sampler}
    file.write_text(json.dumps(content, indent=1) + "\n")


def write_plot(rows: Sequence[Row], file: Path) -> None:
    """Regret by budget with standard errors, one panel a suite, as a page of its own."""
    import plotly.graph_objects as go
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    suites = list(dict.fromkeys(row.suite for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    figure = make_subplots(rows=1, cols=len(suites), subplot_titles=suites)
    for column, suite in enumerate(suites, start=1):
        for number, method in enumerate(methods):
            own = [row for row in rows if (row.suite, row.method) == (suite, method) and row.budget != POOLED]
            figure.add_trace(
                go.Scatter(
                    x=[row.budget for row in own],
                    y=[row.regret for row in own],
                    error_y={"array": [row.standard_error for row in own]},
                    name=method,
                    legendgroup=method,
                    showlegend=column == 1,
                    line_color=qualitative.Plotly[number % len(qualitative.Plotly)],
                ),
                row=1,
                col=column,
            )
        figure.update_xaxes(title_text="budget, full trainings", type="log", row=1, col=column)
        figure.update_yaxes(title_text="regret, lower is better", row=1, col=column)
    figure.write_html(file, include_plotlyjs=True)
