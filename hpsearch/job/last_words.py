"""What a run says when it ends: the best configuration, its scores, and what to open next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.report import wording

if TYPE_CHECKING:
    from hpsearch.layout import ConfirmationResult, Result, RunLayout, SplitResult


WORDS_WHEN_DONE = {"completed": "trained to the end", "paused": "stopped early"}
"""What outcomes are called once no trial waits any more; the others as they are."""


def last_words(layout: RunLayout, result: Result) -> str:
    """Several lines, for a terminal."""
    is_done = result["status"] == "done"
    counts = {WORDS_WHEN_DONE.get(name, name) if is_done else name: count for name, count in result["trials"].items()}
    in_finals = result["confirmation"]["images"] if "confirmation" in result else 0
    was_given = 0 < in_finals == result["images_trained"]  # nothing was searched
    what = "the given configuration" if was_given else wording.counts(counts)
    lines = [f"{result['status']}: {what}, {result['images_trained']:,} images trained"]
    lines += what_came_of_it(layout, result)
    return "\n".join(lines if is_done else [*lines, "", how_it_goes_on(layout)])


def how_it_goes_on(layout: RunLayout) -> str:
    """What to do about a run that was interrupted."""
    return f"The same command with --name {layout.root.resolve().name} continues this study from here."


def what_came_of_it(layout: RunLayout, result: Result) -> list[str]:
    """The best configuration and its scores where there are some, and what to open next."""
    lines = []
    best, val = result["best"], result["val"]
    if best is not None and val is not None:
        size = f"{best['num_parameters'] / 1e6:.1f} M parameters"
        members = best.get("members", [])
        lines += ["", f"best configuration (trial {best['trial']}{'' if members else f', {size}'})"]
        lines += [f"  {name} = {wording.value(value)}" for name, value in best["params"].items()]
        if members:
            lines += ["", f"the model averages {wording.members(members)}, {size}"]
        lines += ["", "retrained on the training images", *_scores(val)]
        if "confirmation" in result:
            lines += _confirmation(result["confirmation"])
        if "holdout" in result:
            lines += _holdout(result["holdout"])
    return [*lines, "", "open next", *_files(layout, result), *_commands(layout, result)]


def _scores(val: SplitResult) -> list[str]:
    low, high = val["auc_ci95"]
    rates = ", ".join(f"{rate:.3f} at FPR {fpr}" for fpr, rate in val["tpr_at_fpr"].items())
    lines = [
        f"  val AUC {val['auc']:.4f} (95 % interval {low:.4f} to {high:.4f}, {val['num_images']:,} images)",
        f"  val accuracy {val['accuracy']:.4f}; always the larger class: {val['majority_accuracy']:.4f}",
        f"  TPR {rates}" + (f" ({val['num_real']:,} real images)" if "num_real" in val else ""),
    ]
    return [*lines, f"  note: {val['note']}"] if "note" in val else lines


def _confirmation(found: ConfirmationResult) -> list[str]:
    """First against confirmed scores, where the best was compared at all."""
    winner = next(one for one in found["finalists"] if one["trial"] == found["winner"])
    if winner["first_score"] is None or winner["mean"] is None or found["optimism"] is None:
        return []
    seeds = f"{len(winner['values'])} fresh seed{'s' if len(winner['values']) > 1 else ''}"
    lines = [
        f"  in the search {winner['first_score']:.4f}, with {seeds} {winner['mean']:.4f} (a single view of each image): "
        f"too good by {found['optimism']:+.4f} (noise of one training {found['noise']:.4f})"
    ]
    if len(found["finalists"]) > 1:
        first = found["finalists"][0]["trial"]
        outcome = (
            f"trial {found['winner']} instead of trial {first}" if found["order_changed"] else "the same one as the search"
        )
        lines.append(f"  {found['num_trainings']} fresh trainings of {len(found['finalists'])} finalists chose {outcome}")
    return lines


def _holdout(holdout: SplitResult) -> list[str]:
    low, high = holdout["auc_ci95"]
    interval = f"95 % interval {low:.4f} to {high:.4f}, {holdout['num_images']:,} images"
    return [f"  holdout AUC {holdout['auc']:.4f} ({interval}): nothing was chosen on it"]


def _files(layout: RunLayout, result: Result) -> list[str]:
    shown = {"page": "the whole story", "submission": "to hand in", "model": "the model", "trials": "every trial"}
    width = max((len(str(layout.root / path)) for path in result["files"].values()), default=0)
    return [
        f"  {layout.root / result['files'][name]!s:<{width}}  {what}" for name, what in shown.items() if name in result["files"]
    ]


def _commands(layout: RunLayout, result: Result) -> list[str]:
    score = f"  python -m hpsearch.predict --model {layout.root} --images DIR --out scores.csv"
    return [f"  tensorboard --logdir {layout.root}", *([score] if "model" in result["files"] else [])]
