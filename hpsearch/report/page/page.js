"use strict";
// Draws the page's figures in the colours of the present scheme, lets a trial be chosen, and sorts the table.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  const specs = new Map();
  const notes = embedded("trial-notes");
  let chosen = null;

  // ---- colours: "$name", "$ramp:0.5", either with "@opacity"

  function variable(name) {
    return getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  }

  function channels(hex) {
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  }

  function colour(token) {
    const [name, opacity] = token.slice(1).split("@");
    const [kind, share] = name.split(":");
    let rgb = null;
    if (kind === "ramp") {
      const [from, to] = [channels(variable("ramp-a")), channels(variable("ramp-b"))];
      rgb = from.map((low, index) => Math.round(low + (to[index] - low) * Number(share)));
    } else {
      rgb = channels(variable(kind));
    }
    return `rgba(${rgb.join(",")},${opacity === undefined ? 1 : Number(opacity)})`;
  }

  function resolved(value) {
    if (typeof value === "string") return value.startsWith("$") ? colour(value) : value;
    if (Array.isArray(value)) return value.map(resolved);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item)]));
    }
    return value;
  }

  // ---- figures

  function embedded(id) {
    const element = document.getElementById(id);
    return element ? JSON.parse(element.textContent) : {};
  }

  // What is said of a trial stands in the page once, not in every plot.
  function addNotes(trace) {
    if (trace.meta === "trials") trace.customdata = trace.customdata.map((trial) => [trial, notes[trial]]);
  }

  function isPlain(value) {
    return value && typeof value === "object" && !Array.isArray(value);
  }

  function merged(base, over) {
    const result = { ...base };
    for (const [key, value] of Object.entries(over)) {
      result[key] = isPlain(value) && isPlain(base[key]) ? merged(base[key], value) : value;
    }
    return result;
  }

  function sharedLayout(width) {
    const size = width < 500 ? 11 : 12.5;
    const axis = {
      automargin: true, gridcolor: "$line", linecolor: "$line", zeroline: false, ticks: "outside", tickcolor: "$line", ticklen: 4,
      title: { standoff: 10, font: { size } },
    };
    return {
      font: { family: getComputedStyle(document.body).fontFamily, size, color: "$muted" },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 52, r: 14, t: 10, b: 44 },
      dragmode: touch ? false : "zoom",
      hovermode: "closest",
      hoverlabel: { bgcolor: "$ink", bordercolor: "$ink", font: { color: "$paper", size: 12.5 }, align: "left" },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", font: { size } },
      xaxis: axis,
      yaxis: axis,
    };
  }

  function chosenTraces(spec) {
    const place = spec.places[chosen];
    if (!place) return [];
    return [{
      type: "scatter", mode: spec.placesMode, x: place[0], y: place[1], name: "chosen", showlegend: false, hoverinfo: "skip",
      line: { color: "$chosen", width: 3 }, marker: { color: "$chosen", size: 11, line: { width: 1.5, color: "$paper" } },
    }];
  }

  // Paper does not scroll: many columns stand closer there, with upright names and without the values at their ends.
  function fitted(canvas, spec) {
    const layout = spec.layout;
    const isCramped = canvas.clientWidth < 0.65 * spec.minWidth;
    canvas.classList.toggle("upright", isCramped);
    if (!isCramped) return layout;
    const names = layout.xaxis.ticktext.map((name) => name.replace(/([._])<br>/g, "$1").replaceAll("<br>", " "));
    return { ...layout, annotations: [], xaxis: { ...layout.xaxis, ticktext: names, tickangle: -90 } };
  }

  function draw(canvas) {
    const spec = specs.get(canvas);
    const traces = resolved([...spec.traces, ...chosenTraces(spec)]);
    const layout = resolved(merged(sharedLayout(canvas.clientWidth), fitted(canvas, spec)));
    // Given sizes are drawn at once; Plotly's own resizing would come too late for paper.
    const size = { width: canvas.clientWidth, height: canvas.clientHeight };
    Plotly.react(canvas, traces, { ...layout, ...size }, { displayModeBar: false });
    if (!canvas.dataset.drawn) {
      canvas.dataset.drawn = "yes";
      canvas.on("plotly_click", (event) => {
        const note = event.points[0].customdata;
        if (Array.isArray(note) && Number.isInteger(note[0])) choose(note[0]);
      });
    }
  }

  function drawAll() {
    for (const canvas of specs.keys()) draw(canvas);
  }

  function redrawOnResize() {
    let width = root.clientWidth;
    let pending = 0;
    addEventListener("resize", () => {
      if (root.clientWidth === width || "print" in root.dataset) return;
      width = root.clientWidth;
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(() => {
        drawAll();
        openScrollers();
      });
    });
  }

  // What scrolls can be reached and scrolled by keyboard; what does not is no stop on the way.
  function openScrollers() {
    for (const scroller of document.querySelectorAll(".sideways:not([role]), .sideways[data-scrolls], section pre")) {
      const scrolls = scroller.scrollWidth > scroller.clientWidth;
      const named = scroller.querySelector("caption, [aria-label]");
      const label = named ? named.getAttribute("aria-label") || named.textContent : scroller.closest("section").querySelector("h2").textContent;
      const attributes = { tabindex: "0", role: "region", "aria-label": `${label.trim()}, scrolls`, "data-scrolls": "" };
      for (const [name, value] of Object.entries(attributes)) {
        if (scrolls) scroller.setAttribute(name, value);
        else scroller.removeAttribute(name);
      }
    }
  }

  // ---- a chosen trial

  function choose(trial) {
    chosen = trial;
    for (const [canvas, spec] of specs) {
      if (canvas.dataset.drawn && Object.keys(spec.places).length) draw(canvas);
    }
    for (const row of document.querySelectorAll("tr[data-trial]")) {
      row.classList.toggle("selected", Number(row.dataset.trial) === chosen);
    }
    const bar = document.getElementById("selection");
    bar.hidden = chosen === null;
    if (chosen === null) return;
    const row = document.getElementById(`trial-${chosen}`);
    const state = row ? row.querySelector(".state").textContent.trim() : "";
    document.getElementById("selection-text").textContent = `Trial ${chosen}: ${state}`;
    document.getElementById("selection-row").href = `#trial-${chosen}`;
  }

  function listenForChoices() {
    if (!document.getElementById("selection")) return;
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button.trial");
      if (button) choose(Number(button.dataset.trial));
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") choose(null);
    });
    document.getElementById("selection-clear").addEventListener("click", () => choose(null));
    document.getElementById("selection-row").addEventListener("click", (event) => {
      const row = document.getElementById(`trial-${chosen}`);
      if (!row) return;
      event.preventDefault();
      row.scrollIntoView({ block: "center" });
      row.querySelector("button").focus({ preventScroll: true });
    });
  }

  // ---- the table of trials

  function compared(first, second) {
    const numbers = [Number(first), Number(second)];
    if (!numbers.some(Number.isNaN)) return numbers[0] - numbers[1];
    return first.localeCompare(second);
  }

  function sortBy(heading) {
    const table = heading.closest("table");
    const column = [...heading.parentElement.children].indexOf(heading);
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row.cells[column].dataset.key, row]);
    const filled = rows.filter(([key]) => key !== undefined);
    filled.sort(([first], [second]) => (descending ? compared(second, first) : compared(first, second)));
    body.append(...filled.map(([, row]) => row), ...rows.filter(([key]) => key === undefined).map(([, row]) => row));
  }

  function makeSortable() {
    for (const button of document.querySelectorAll("button.sort")) {
      button.addEventListener("click", () => sortBy(button.closest("th")));
    }
  }

  // ---- paper: light colours, everything open; afterwards as it was

  let opened = [];

  function preparePrint() {
    root.dataset.print = "yes";
    opened = [...opened, ...document.querySelectorAll("details:not([open])")];
    for (const detail of opened) detail.open = true;
    drawAll();
  }

  function endPrint() {
    delete root.dataset.print;
    for (const detail of opened) detail.open = false;
    opened = [];
    drawAll();
  }

  // ---- start: what is on screen first, the rest while the reader reads

  function start() {
    for (const canvas of document.querySelectorAll("[data-figure]")) {
      const spec = embedded(`data-${canvas.dataset.figure}`);
      spec.traces.forEach(addNotes);
      specs.set(canvas, spec);
    }
    makeSortable();
    listenForChoices();
    redrawOnResize();
    document.addEventListener("toggle", openScrollers, true);
    dark.addEventListener("change", drawAll);
    addEventListener("beforeprint", preparePrint);
    addEventListener("afterprint", endPrint);
    const waiting = [...specs.keys()];
    const next = () => {
      const canvas = waiting.shift();
      if (!canvas) {
        openScrollers();
        root.dataset.ready = "yes";
        return;
      }
      draw(canvas);
      setTimeout(next, 0);
    };
    next();
  }

  start();
})();
