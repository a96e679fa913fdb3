"""What a free slot does next: the promotion rule, in one place and pure.

Asynchronous successive halving with pauses (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020;
https://arxiv.org/abs/1810.05934), with one rule: at each freed slot, from the top rung down, the best unpromoted trial among
the best ⌊n/η⌋ of the n values there is promoted, while fewer than ⌊n/η⌋ are; else a new trial starts.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.search.fold import Study


@dataclass(frozen=True, slots=True)
class Resume:
    """Train a known trial on from its last rung."""

    trial: int
    """Its number."""
    from_images: int
    """Images at its last rung."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Start a new trial."""

    number: int
    """The number that it gets."""


def next_step(study: Study) -> Resume | Begin | None:
    """What a free slot does: first what was cut short, then a promotion, then a new trial; None: nothing for now."""
    if study.queue:
        trial = study.trials[study.queue[0]]
        return Resume(trial.number, trial.images)
    promotion = next_promotion(study)
    if promotion is not None:
        return promotion
    number = len(study.trials)
    return Begin(number) if study.num_trials is None or number < study.num_trials else None


def next_promotion(study: Study) -> Resume | None:
    """The promotion that is due, if any."""
    for images in sorted(study.rungs, reverse=True)[1:]:
        trial = study.rungs[images].promotable()
        if trial is not None:
            return Resume(trial, images)
    return None
