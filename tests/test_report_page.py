"""The page in real Chromium, offline: every section drawn, no error, no request, names harmless, usable by keyboard."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any, cast

import numpy as np
import plotly.graph_objects as go
import pytest
from markupsafe import escape
from PIL import Image

from hpsearch.judge.audit_file import write_audit
from hpsearch.judge.robustness import DEGRADATIONS
from hpsearch.layout import RunLayout
from hpsearch.report.page.comparison import write_comparison
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.detector import calibration_error, confusion, operating_points
from hpsearch.report.page.finals import UNITS, robustness_rows
from hpsearch.report.page.notes import honest_notes
from hpsearch.report.page.render import render_page
from hpsearch.report.rebuild import content_of, rebuild, run_events
from hpsearch.report.summary import gpu_hours
from hpsearch.report.tables import Predictions
from hpsearch.search.journal import read_events
from tests.keyboard import Keyboard, installed_chromium, keyboard
from tests.report_studies import AUDIT, HOSTILE, make_run

SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
SECTIONS = ["result", "search", "confirmation", "parameters", "budget", "detector", "images", "trials", "reproduce"]
FIGURES = [
    "history",
    "curves",
    "importance",
    "parallel",
    "spent-outcome",
    "spent-rung",
    "spent-backbone",
    "roc",
    "roc-small",
    "calibration",
    "spread",
    "finalists",
    "robustness",
    "groups",
]

# Runs in the page once it is ready, and leaves what it found in the document.
PROBE = """
<script>
(() => {
  const found = {};
  const report = () => {
    const note = document.createElement("pre");
    note.id = "probe";
    note.textContent = JSON.stringify(found);
    document.body.append(note);
  };
  const look = () => {
    if (!document.documentElement.dataset.ready) return setTimeout(look, 20);
    found.figures = Object.fromEntries([...document.querySelectorAll("[data-figure]")].map((canvas) => {
      const marks = canvas.querySelectorAll(".trace path, .trace .point, .scatterlayer path.js-line, .points path").length;
      return [canvas.dataset.figure, marks];
    }));
    found.sections = [...document.querySelectorAll("section")].map((section) => [section.id, section.innerText.trim().length]);
    found.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
    found.pictures = [...document.querySelectorAll(".pictures img")].map((image) => image.naturalWidth);
    found.title = document.title;
    found.unnamed = [...document.querySelectorAll("button, a")].filter((one) => !one.textContent.trim()).length;
    found.sideways = document.documentElement.scrollWidth > document.documentElement.clientWidth;
    if (document.querySelector(".trials")) interact(found);
    const closed = () => document.querySelectorAll("details:not([open])").length;
    found.closed = [closed()];
    for (const moment of ["beforeprint", "afterprint"]) {
      dispatchEvent(new Event(moment));
      found.closed.push(closed());
    }
    report();
  };
  const interact = (found) => {
    const order = () => [...document.querySelectorAll(".trials tbody tr")].map((row) => Number(row.dataset.trial));
    const heading = [...document.querySelectorAll("button.sort")].find((one) => one.textContent.startsWith("AUC at 18,000"));
    heading.click();
    found.ascending = order();
    heading.click();
    found.descending = order();
    found.sorted = heading.closest("th").getAttribute("aria-sort");
    const best = document.querySelector("tr.best");
    best.querySelector("button.trial").click();
    found.chosen = document.getElementById("selection-text").textContent;
    const history = document.querySelector('[data-figure="history"]');
    const marked = () => history.data.filter((trace) => trace.name === "chosen").map((trace) => trace.x);
    found.marked = marked();
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
    found.cleared = document.getElementById("selection").hidden && marked().length === 0;
  };
  look();
})();
</script>
"""


@pytest.fixture(scope="session")
def chromium() -> str:
    return installed_chromium()


def browse(chromium: str, page: Path, profile: Path, *options: str) -> tuple[str, list[str]]:
    """The document as Chromium leaves it, and what its console said; without network."""
    flags = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
    flags += [
        "disable-component-update",
        "disable-sync",
        "hide-scrollbars",
        "enable-logging=stderr",
        "virtual-time-budget=20000",
    ]
    offline = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}"]
    done = subprocess.run(
        [chromium, *(f"--{flag}" for flag in flags), *offline, *options, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def probed(chromium: str, page: Path, folder: Path, *options: str) -> tuple[dict[str, Any], list[str]]:
    """What `PROBE` found in `page`, and the console."""
    copy = folder / "probed.html"
    copy.write_text(page.read_text().replace("</body>", f"{PROBE}</body>"))
    dom, console = browse(chromium, copy, folder / "profile", "--dump-dom", *options)
    answer = re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)
    assert answer, f"the page never became ready: {console}"
    return json.loads(html.unescape(answer[1])), console


def on_gpus(layout: RunLayout) -> None:
    """Rewrites a journal as that of a run whose trials had a quarter of a GPU each; one lost ten minutes."""
    events = read_events(layout.journal)
    for event in events:
        if event["event"] == "rung":
            event["seconds"] *= 60
            event["metrics"]["gpus"] = 0.25
    header, *others = [{**event, "ran": 0.0} for event in events]
    lost = {"event": "stopped", "trial": 0, "reason": "lost", "message": "", "ran": 600.0}
    began = next(index for index, event in enumerate(others) if event["event"] == "started") + 1
    rest = [{**event, "ran": 600.0} for event in others[began:]]
    again = {**others[began - 1], "ran": 600.0}
    fresh = [("retraining", 0.0, 2700.0), ("retraining", 3600.0, 0.0), ("judging", 180.0, 180.0)]
    phases = [{"event": "phase", "name": name, "seconds": took, "gpu_seconds": gpu, "ran": 7200.0} for name, took, gpu in fresh]
    told = [header, {"event": "resources", "gpus": 0.25, "ran": 0.0}, *others[:began], lost, again, *rest, *phases]
    layout.journal.write_text("".join(json.dumps(event) + "\n" for event in told))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    layout = make_run(tmp_path_factory.mktemp("page") / "faces <i>&amp;", 40)
    on_gpus(layout)
    rebuild(layout.root)
    return layout


@pytest.fixture(scope="module")
def content(layout: RunLayout) -> PageContent:
    return content_of(layout, run_events(layout))


@pytest.fixture(scope="module")
def seen(chromium: str, layout: RunLayout, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    return probed(chromium, layout.page, tmp_path_factory.mktemp("probe"), "--window-size=1200,900")


def test_page_opens_offline_without_console_messages_or_requests(seen: tuple[dict[str, Any], list[str]]) -> None:
    found, console = seen
    assert console == []
    assert found["requests"] == []


def test_every_section_has_content(seen: tuple[dict[str, Any], list[str]]) -> None:
    sections = dict(seen[0]["sections"])
    assert list(sections) == SECTIONS
    assert min(sections.values()) > 60


def test_every_figure_is_drawn(seen: tuple[dict[str, Any], list[str]]) -> None:
    figures = seen[0]["figures"]
    assert set(FIGURES) <= set(figures)
    assert sum(name.startswith("effect-") for name in figures) == 8
    assert [name for name, marks in figures.items() if not marks] == []


def test_pictures_of_mistakes_load_from_the_page_itself(seen: tuple[dict[str, Any], list[str]]) -> None:
    assert seen[0]["pictures"] == [160] * 27


def test_names_and_messages_stay_text(seen: tuple[dict[str, Any], list[str]], layout: RunLayout) -> None:
    assert seen[0]["title"] == "faces <i>&amp; – hpsearch"
    page = layout.page.read_text()
    assert HOSTILE not in page
    assert html.escape(HOSTILE, quote=False).split('"')[0] in page


def test_table_sorts_by_a_heading_with_absent_values_last(seen: tuple[dict[str, Any], list[str]], content: PageContent) -> None:
    found, top = seen[0], content.study.top
    completed = sorted(
        (number for number, trial in content.study.trials.items() if top in trial.values),
        key=lambda number: content.study.trials[number].values[top],
    )
    assert len(completed) > 2
    assert found["ascending"][: len(completed)] == completed
    assert found["descending"][: len(completed)] == completed[::-1]
    assert found["sorted"] == "descending"


def test_chosen_trial_is_marked_in_the_plots_until_escape(seen: tuple[dict[str, Any], list[str]], content: PageContent) -> None:
    assert content.best is not None
    assert seen[0]["chosen"] == f"Trial {content.best.number}: completed · best"
    assert seen[0]["marked"] == [[content.best.number]]
    assert seen[0]["cleared"]


def test_every_control_has_a_name(seen: tuple[dict[str, Any], list[str]]) -> None:
    assert seen[0]["unnamed"] == 0


def test_page_fits_a_phone_and_the_running_study_has_no_detector_yet(chromium: str, tmp_path: Path) -> None:
    layout = make_run(tmp_path / "going", 12, stop_after=9)
    rebuild(layout.root)
    frame = tmp_path / "phone.html"
    copy = tmp_path / "inner.html"
    copy.write_text(layout.page.read_text().replace("</body>", f"{PROBE}</body>"))
    # Headless Chromium has a smallest window of 500 px; a frame can be narrower.
    reader = "const read = () => { const note = inner.contentDocument.getElementById('probe');"
    reader += " if (!note) return setTimeout(read, 50); document.body.append(note.cloneNode(true)); }; read();"
    frame.write_text(f'<iframe id="inner" src="{copy.name}" width="390" height="800"></iframe><script>{reader}</script>')
    dom, console = browse(chromium, frame, tmp_path / "profile", "--dump-dom", "--allow-file-access-from-files")
    found = json.loads(html.unescape(re.findall(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)[0]))
    assert console == []
    assert found["sideways"] is False
    assert [section for section, _ in found["sections"]] == [
        name for name in SECTIONS if name not in ("detector", "confirmation", "images")
    ]
    assert [name for name, marks in found["figures"].items() if not marks] == []


def test_table_and_scrollers_are_reached_and_used_by_keyboard_alone(chromium: str, layout: RunLayout, tmp_path: Path) -> None:
    with keyboard(chromium, layout.page, tmp_path / "profile", "--window-size=600,900") as keys:
        wide = "[...document.querySelectorAll('.sideways')].filter((one) => one.scrollWidth > one.clientWidth)"
        labels = keys.look(f"{wide}.map((one) => one.getAttribute('aria-label'))")
        assert len(labels) > 2
        reached = []
        for _ in range(300):
            keys.press("Tab")
            reached.append(keys.look("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"))
            if reached[-1] == "outcome":
                break
        assert set(labels) <= set(reached)
        keys.press("Enter")
        assert keys.look("document.querySelector('th[aria-sort]').textContent.trim()") == "outcome"
        while not keys.look("document.activeElement.matches('tbody button.trial')"):
            keys.press("Tab")
        keys.press("Enter")
        number = keys.look("document.activeElement.textContent")
        assert keys.look("document.getElementById('selection-text').textContent").startswith(f"Trial {number}: ")
        keys.press("Escape")
        assert keys.look("document.getElementById('selection').hidden")


def test_names_of_mistakes_are_shown_whole(chromium: str, layout: RunLayout, tmp_path: Path) -> None:
    with keyboard(chromium, layout.page, tmp_path / "profile") as keys:
        names = "[...document.querySelectorAll('.pictures .name')]"
        assert keys.look(f"{names}.length") > 4
        assert keys.look(f"{names}.filter((one) => one.scrollWidth > one.clientWidth + 1).length") == 0


def test_what_is_opened_for_paper_is_closed_again(seen: tuple[dict[str, Any], list[str]]) -> None:
    before, printing, after = seen[0]["closed"]
    assert before == after > 0
    assert printing == 0


def test_the_page_prints_on_a_few_sheets(chromium: str, layout: RunLayout, tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    browse(chromium, layout.page, tmp_path / "profile", f"--print-to-pdf={file}")
    content = file.read_bytes()
    assert content.startswith(b"%PDF-")
    assert 5 <= len(re.findall(rb"/Type */Page\b", content)) <= 20


def picture_of(keys: Keyboard, name: str, *, width: int, scheme: str = "light") -> Image.Image:
    """Kept for a person to look at: the page from its heading to its last line, with all its figures drawn."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    file = SCREENSHOTS / f"{name}.png"
    keys.picture(file, width=width, scheme=scheme)
    picture = Image.open(file)
    assert picture.size == (width, keys.look("document.documentElement.scrollHeight"))
    last = "Math.max(...[...document.querySelectorAll('section')].map((one) => one.getBoundingClientRect().bottom + scrollY))"
    assert keys.look(last) <= picture.height
    widths = "(one) => one.querySelector('svg.main-svg').clientWidth === one.clientWidth"
    assert keys.look(f"[...document.querySelectorAll('[data-figure]')].every({widths})")
    return picture


def brightness(picture: Image.Image) -> float:
    return float(np.asarray(picture.convert("L")).mean())


@pytest.mark.slow
def test_pictures_of_the_whole_page_are_kept(chromium: str, layout: RunLayout, tmp_path: Path) -> None:
    with keyboard(chromium, layout.page, tmp_path / "profile", "--hide-scrollbars") as keys:
        light = picture_of(keys, "report-light", width=1200)
        dark = picture_of(keys, "report-dark", width=1200, scheme="dark")
        phone = picture_of(keys, "report-phone", width=390)
        keys.paper(SCREENSHOTS / "report-print.pdf")
    assert light.size == dark.size
    assert phone.height > light.height > 8000
    assert brightness(light) > 200
    assert brightness(dark) < 60
    *_, bottom = np.asarray(light.convert("L").resize((60, light.height // 200)))
    assert bottom.std() > 0, "the last lines are text, not blank"


@pytest.mark.slow
def test_a_picture_of_a_comparison_is_kept(chromium: str, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, 30, seed=seed) for name, seed in (("one", 3), ("two", 4))]
    on_gpus(runs[1])
    page = tmp_path / "comparison.html"
    write_comparison(page, [content_of(run, run_events(run)) for run in runs])
    with keyboard(chromium, page, tmp_path / "profile", "--hide-scrollbars") as keys:
        picture_of(keys, "comparison-light", width=1200)


def test_comparison_of_runs_shows_scores_course_and_differences(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    runs = [make_run(tmp_path / name, 12, seed=seed) for name, seed in (("one", 3), ("two", 4))]
    write_comparison(page, [rebuild(run.root) for run in runs])
    found, console = probed(chromium, page, tmp_path)
    assert console == []
    assert [section for section, _ in found["sections"]] == ["scores", "course", "configurations", "asked"]
    assert found["figures"]["paths"] >= 2
    shown = page.read_text()
    assert "mean of fresh trainings" in shown
    assert "holdout AUC" not in shown  # neither run has one


def test_comparison_of_runs_with_different_objectives_names_both(tmp_path: Path) -> None:
    contents = []
    for objective in ("auc", "accuracy"):
        events = study_events([100], *suggested(0), reached(0, 0.7), objective=objective)
        contents.append(content_of(RunLayout(tmp_path / objective), events))
    write_comparison(tmp_path / "same.html", contents[:1] * 2)
    write_comparison(tmp_path / "both.html", contents)
    same, both = ((tmp_path / name).read_text() for name in ("same.html", "both.html"))
    assert "different objectives" not in same
    assert "different objectives (Validation AUC, Validation accuracy)" in both
    paths = embedded_figures(both)["paths"]
    assert paths["layout"]["yaxis"]["title"]["text"] == "Best Validation AUC or Validation accuracy at the full budget"
    assert [trace["name"] for trace in paths["traces"]] == ["auc: Validation AUC", "accuracy: Validation accuracy"]


def embedded_figures(page: str) -> dict[str, dict[str, Any]]:
    return {name: json.loads(text) for name, text in re.findall(r'id="data-([\w-]+)">(.*?)</script>', page, re.DOTALL)}


def with_colours(value: Any) -> Any:
    """Tokens as the page's script resolves them, with one colour for all."""
    if isinstance(value, str):
        return "rgba(1,2,3,0.5)" if re.fullmatch(r"\$[a-z-]+(:[\d.]+)?(@[\d.]+)?", value) else value
    if isinstance(value, dict):
        return {key: with_colours(item) for key, item in value.items()}
    return [with_colours(item) for item in value] if isinstance(value, list) else value


def test_every_figure_uses_only_what_plotly_knows(layout: RunLayout) -> None:
    figures = embedded_figures(layout.page.read_text())
    assert set(FIGURES) <= set(figures)
    for spec in figures.values():
        go.Figure(data=with_colours(spec["traces"]), layout=with_colours(spec["layout"]))


def test_every_axis_has_a_title(layout: RunLayout) -> None:
    figures = embedded_figures(layout.page.read_text())
    axes = {f"{name} {axis}": spec["layout"].get(axis, {}) for name, spec in figures.items() for axis in ("xaxis", "yaxis")}
    assert [name for name, axis in axes.items() if axis.get("visible", True) and not axis.get("title", {}).get("text")] == []


def test_axes_of_parameters_have_readable_titles_and_units(layout: RunLayout) -> None:
    figures = embedded_figures(layout.page.read_text())
    titles = {spec["layout"]["xaxis"]["title"]["text"] for name, spec in figures.items() if name.startswith("effect-")}
    assert titles == {
        "Backbone",
        "SE reduction ratio r, se_reduction",
        "Peak learning rate, lr (logarithmic)",
        "Weight decay (logarithmic)",
        "augment.jpeg.p (share of images)",
        "augment.blur.p (share of images)",
        "Label smoothing",
        "Image side, image_px (px)",
    }


def test_the_budget_is_told_in_gpu_hours(layout: RunLayout, content: PageContent) -> None:
    page = layout.page.read_text()
    figures = embedded_figures(page)
    total = gpu_hours(content.study)
    for name, what in (("spent-outcome", "Outcome of the trial"), ("spent-rung", "Rung")):
        assert figures[name]["layout"]["xaxis"]["title"]["text"] == "GPU hours"
        assert figures[name]["layout"]["yaxis"]["title"]["text"] == what
        assert sum(sum(trace["x"]) for trace in figures[name]["traces"]) == pytest.approx(total)
        assert {"in vain", "after the search"} < {trace["name"] for trace in figures[name]["traces"]}
    assert f"{total:.3g} GPU hours: " in page
    assert "Waste is 0.0417 GPU hours" in page, "a quarter of a GPU for ten minutes"
    assert f'<dd class="aside">{total:.2f} GPU hours</dd>' in page


def test_page_refers_to_nothing_outside_itself(layout: RunLayout) -> None:
    page = layout.page.read_text()
    assert page.count("plotly.js v") == 1
    assert "default-src 'none'" in page
    without_plotly = page.replace(re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0], "")
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', without_plotly) == []


@pytest.mark.parametrize(
    "elsewhere",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "https://example.org/",
        "//example.org/x",
        "/etc/passwd",
        "best/../../other/model.onnx",
        "C:\\model.onnx",
        "\\\\host\\share",
        "",
        ".",
    ],
)
def test_a_file_of_a_result_is_a_link_only_inside_its_run(elsewhere: str, content: PageContent) -> None:
    assert content.result is not None
    files = {"model": "best/my model #1.onnx", "other": elsewhere}
    page = render_page(dataclasses.replace(content, result=cast("Any", {**content.result, "files": files})))
    section = page.partition('id="reproduce"')[2].partition("</section>")[0]
    assert re.findall(r'<a href="([^"]*)"', section) == ["best/my%20model%20%231.onnx"]
    assert f"<span>{escape(elsewhere)}</span>" in page


def test_study_before_its_first_value_still_has_a_page(tmp_path: Path) -> None:
    layout = make_run(tmp_path / "new", 4, stop_after=0)
    page = render_page(content_of(layout, run_events(layout)))
    assert "No trial has reached a rung yet" in page
    assert embedded_figures(page) == {}


def test_notes_say_that_the_chosen_score_leans_high_and_how_few_images_a_small_rate_has(content: PageContent) -> None:
    notes = " ".join(honest_notes(content))
    assert "The 1,000 validation images also chose this configuration among 40 trials" in notes
    assert content.result is not None
    assert content.result["val"] is not None
    noted = {**content.result, "val": {**content.result["val"], "note": "it was also trained on them"}}
    notes_with_note = honest_notes(dataclasses.replace(content, result=noted))
    assert notes_with_note[0] == "It was also trained on them."
    assert "also chose this configuration" not in " ".join(notes_with_note)
    assert re.search(r"With \d+ real images a false-positive rate of 0\.001 is 0\.\d images", notes)
    assert "2 of 40 trials gave no usable result (1 diverged, 1 failed)" in notes


def test_the_finals_are_told_where_there_are_any(layout: RunLayout, content: PageContent) -> None:
    page = layout.page.read_text()
    assert "<dt>Confirmed AUC</dt>" in page
    assert "+0.0080" in page
    assert "52 % of the template's images are deepfakes (60 % of the validation images are)" in page
    assert content.result is not None
    alone = {key: value for key, value in content.result.items() if key not in ("confirmation", "robustness", "groups")}
    page = render_page(dataclasses.replace(content, result=cast("Any", alone)))
    assert 'id="confirmation"' not in page
    assert "Optimism" not in page


def test_every_column_has_a_heading(layout: RunLayout) -> None:
    assert re.findall(r"<th\b[^>]*>\s*</th>", layout.page.read_text()) == []


def test_a_false_positive_rate_is_said_to_be_one_of_real_images(layout: RunLayout, content: PageContent) -> None:
    assert content.predictions is not None
    num_real = int((content.predictions.labels_n == 0).sum())
    assert f"the rate is counted on {num_real:,} real images" in layout.page.read_text()


def test_degradations_stand_in_a_table_with_their_units(content: PageContent) -> None:
    rows = dict((name, (auc, difference)) for name, auc, difference in robustness_rows(content))
    assert rows["as they are"] == (0.83, 0.0)
    assert rows["JPEG, quality 50"] == (0.74, pytest.approx(-0.09))
    assert {"Gaussian blur, σ = 1 px", "Gaussian noise, σ = 5/255", "reduced to 0.5 × the side and enlarged again"} < set(rows)
    page = render_page(content)
    assert '<td class="num">-0.0900</td>' in page
    assert "Gaussian blur, σ = 1 px" in embedded_figures(page)["robustness"]["layout"]["yaxis"]["ticktext"]
    assert {name.partition(" ")[0] for name in DEGRADATIONS} < set(UNITS)


@pytest.mark.parametrize(("num_trials", "share"), [(24, "18 %"), (60, "10 %")])
def test_importance_says_which_trials_are_the_best_ones(num_trials: int, share: str, tmp_path: Path) -> None:
    layout = make_run(tmp_path / "going", num_trials, stop_after=3 * num_trials)
    page = render_page(content_of(layout, run_events(layout)))
    assert f"whether a trial is among the best {share} (PED-ANOVA)" in page


def test_the_networks_of_an_ensemble_are_told(content: PageContent) -> None:
    assert content.result is not None
    assert content.result["best"] is not None
    members = [{"trial": trial, "repeat": 1, "backbone": "resnet18", "value": 0.8} for trial in (3, 5)]
    result = {**content.result, "best": {**content.result["best"], "members": members}}
    page = render_page(dataclasses.replace(content, result=cast("Any", result)))
    assert "2 networks: 1 fresh training of trial 3, 1 of trial 5" in page


def test_findings_of_the_audit_are_told_with_their_examples_while_the_run_goes_on(tmp_path: Path) -> None:
    layout = make_run(tmp_path / "going", 12, stop_after=3)
    assert 'id="images"' not in render_page(content_of(layout, run_events(layout)))
    write_audit(layout.audit_json, AUDIT)
    page = render_page(content_of(layout, run_events(layout)))
    assert "<b>Problem: duplicate across splits</b>" in page
    assert "4 files stand in two splits. Remove them from one." in page
    assert str(escape(HOSTILE)) in page
    assert "file size" in page
    assert "What an audit of 4,000 of the 4,000 labelled images found" in page


def test_an_audit_without_findings_says_so(content: PageContent) -> None:
    clean = dataclasses.replace(AUDIT, findings=(), cues=())
    page = render_page(dataclasses.replace(content, audit=clean))
    assert "Nothing was found." in page
    assert "What a single cue tells" not in page


def test_notes_of_an_unfinished_run_say_so_first(tmp_path: Path) -> None:
    layout = make_run(tmp_path / "going", 12, stop_after=3)
    notes = honest_notes(content_of(layout, run_events(layout)))
    assert notes[0].startswith("This run has not ended")
    assert notes[1].startswith("No usable trials have reached the full budget of 18,000 images")


@pytest.mark.parametrize(
    ("full", "told"),
    [([], "No usable trials have"), ([0.5], "Only 1 usable trial has"), ([0.5, 0.4], "2 usable trials have")],
)
def test_a_best_trial_below_the_full_budget_is_told_beside_how_many_got_there(
    full: list[float], told: str, tmp_path: Path
) -> None:
    events = [event for number in range(4) for event in (*suggested(number), reached(number, 0.6 + number / 100))]
    events += [{**reached(number, value), "images": 300} for number, value in enumerate(full)]
    notes = " ".join(honest_notes(content_of(RunLayout(tmp_path), study_events([100, 300], *events))))
    assert f"{told} reached the full budget of 300 images; the best one was compared at 100." in notes


def predictions(labels: list[int], probabilities: list[float]) -> Predictions:
    names = tuple(map(str, range(len(labels))))
    return Predictions(names=names, labels_n=np.array(labels), probabilities_n=np.array(probabilities))


def test_operating_points_count_real_images_called_fake() -> None:
    reals = [0.9] + [0.1] * 199
    points = operating_points(predictions([0] * 200 + [1, 1], [*reals, 0.95, 0.5]))
    assert [(point.fpr, point.tpr, point.num_false) for point in points] == [(0.01, 1.0, 1), (0.005, 1.0, 1), (0.001, 0.5, 0)]


def test_calibration_error_is_zero_for_honest_and_large_for_boastful_probabilities() -> None:
    labels = [0, 0, 0, 1] * 100
    assert calibration_error(predictions(labels, [0.25] * 400)) < 0.02
    assert calibration_error(predictions(labels, [0.99] * 400)) == pytest.approx(0.74, abs=0.02)


def test_confusion_is_taken_at_one_half() -> None:
    found = confusion(predictions([0, 0, 1, 1], [0.4, 0.5, 0.5, 0.1]))
    assert found == {"real": {"called real": 1, "called fake": 1}, "deepfake": {"called real": 1, "called fake": 1}}


def study_events(rungs: list[int], *events: dict[str, Any], objective: str = "auc") -> list[dict[str, Any]]:
    dimension = {"name": "lr <x>", "kind": "float", "low": 1e-3, "high": 1e-3, "log": True, "step": 1}
    header = {
        "event": "study",
        "version": 1,
        "space": {"dimensions": {"lr <x>": dimension}},
        "rungs": rungs,
        "eta": 2.5,
        "seed": 0,
    }
    return [{**header, "identity": {"search.objective": objective}}, *events]


def suggested(number: int) -> list[dict[str, Any]]:
    return [
        {"event": "suggested", "trial": number, "params": {"lr <x>": 1e-3}, "origin": "tpe"},
        {"event": "started", "trial": number, "slot": 0, "from_images": 0, "to_images": 100},
    ]


def reached(number: int, value: float) -> dict[str, Any]:
    return {"event": "rung", "trial": number, "images": 100, "value": value, "seconds": 0.0, "metrics": {}}


def failed(number: int) -> dict[str, Any]:
    return {"event": "ended", "trial": number, "outcome": "failed", "images": 0, "message": "no"}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(study_events([100]), "No trial has been suggested yet", id="nothing suggested"),
        pytest.param(study_events([100, 300], *suggested(0)), "No trial has reached a rung yet", id="nothing reported"),
        pytest.param(study_events([100], *suggested(0), failed(0)), "1 of 1 trial gave no usable result", id="all failed"),
        pytest.param(
            study_events([100], *suggested(0), reached(0, 0.5)), "0.5000", id="one trial, one rung, a range of one value"
        ),
        pytest.param(
            study_events([100, 300], *suggested(0), reached(0, 0.7), *suggested(1), reached(1, 0.7), objective="accuracy"),
            "Validation accuracy",
            id="ties, another objective",
        ),
    ],
)
def test_odd_studies_have_a_page_too(events: list[dict[str, Any]], expected: str, tmp_path: Path) -> None:
    page = render_page(content_of(RunLayout(tmp_path), events))
    assert expected in page
    assert "lr <x>" not in page
