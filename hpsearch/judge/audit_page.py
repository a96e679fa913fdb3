"""An audit as text, and as one HTML file."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsearch.judge.audit import Audit

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; }
td, th { padding: .25rem .75rem .25rem 0; text-align: left; border-bottom: 1px solid #d7dbe0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
li { list-style: none; padding-left: .75rem; margin: .75rem 0; border-left: 4px solid #7b8794; }
li.problem { border-color: #b3261e; } li.warning { border-color: #b26a00; }
ul { padding: 0; } code { font-size: .85rem; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { background: #14171a; color: #e6e8ea; } td, th { border-color: #3a4048; } }
"""


def as_text(audit: Audit) -> str:
    """Several lines, for a terminal."""
    lines = [_headline(audit), ""]
    lines += [f"  {name:<8} {count:>9,} images, {fakes / count:.1%} deepfakes" for name, (count, fakes) in audit.shares.items()]
    for finding in audit.findings:
        lines += ["", f"{finding.severity.upper()}  {finding.kind}", f"  {finding.text}"]
        lines += [f"    {example}" for example in finding.examples]
    if audit.cues:
        lines += ["", "what a single cue tells of the label (AUC with its 95 % interval; 0.5: nothing)"]
        lines += [f"  {cue.name:<36} {cue.split:<8} {cue.auc:.3f}  {cue.low:.3f} – {cue.high:.3f}" for cue in audit.cues]
    return "\n".join(lines)


def as_html(audit: Audit) -> str:
    """One page that asks the network for nothing."""
    shares = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td class=number>{count:,}</td><td class=number>{fakes / count:.1%}</td></tr>"
        for name, (count, fakes) in audit.shares.items()
    )
    findings = "".join(
        f"<li class={finding.severity}><b>{finding.severity}: {escape(finding.kind)}</b><br>{escape(finding.text)}"
        + "".join(f"<br><code>{escape(example)}</code>" for example in finding.examples)
        + "</li>"
        for finding in audit.findings
    )
    cues = "".join(
        f"<tr><th scope=row>{escape(cue.name)}</th><td>{escape(cue.split)}</td><td class=number>{cue.auc:.3f}</td>"
        f"<td class=number>{cue.low:.3f} – {cue.high:.3f}</td></tr>"
        for cue in audit.cues
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Audit of {escape(audit.source)}</title><style>{_STYLE}</style>"
        f"<h1>Audit of {escape(audit.source)}</h1><p>{escape(_headline(audit))}</p>"
        f"<table><tr><th scope=col>Split<th scope=col>Images<th scope=col>Deepfakes</tr>{shares}</table>"
        f"<h2>Findings</h2><ul>{findings or '<li class=note>Nothing was found.</li>'}</ul>"
        f"<h2>Single cues</h2><p>AUC of each cue alone with its 95 % interval; 0.5 tells nothing.</p>"
        f"<table><tr><th scope=col>Cue<th scope=col>Split<th scope=col>AUC<th scope=col>Interval</tr>{cues}</table></html>\n"
    )


def _headline(audit: Audit) -> str:
    problems = sum(finding.severity == "problem" for finding in audit.findings)
    looked = f"{audit.num_looked_at:,} of {audit.num_images:,} labelled images looked at"
    return f"{looked}: " + (f"{problems} problem{'s' if problems > 1 else ''}" if problems else "no problem found")
