"""What is wrong with a data set, before anything is trained on it: leaks, shortcuts, duplicates, unreadable files.

Axis legend: `n` images, `p` pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hpsearch.data.cache import address
from hpsearch.judge.cues import Cue, cue_aucs
from hpsearch.judge.duplicates import near_duplicates, same_files
from hpsearch.judge.labels import MIN_AUC, MIN_IMAGES, contradicted_labels, paired_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.data.dataset import Dataset, ImageSet
    from hpsearch.judge.scan import ImageScan

RULE = "audit 2"
"""Names what is looked for; with a change of it an audit is made again."""
Severity = Literal["problem", "warning", "note"]
QUICK_IMAGES = 6_000
"""Images that the quick form opens, drawn at random: seconds on two cores."""
PROBLEM_AUC, WARNING_AUC = 0.70, 0.60
"""Lower bound of a single cue's AUC from which it is a shortcut, or worth a look."""
MAX_UNREADABLE_FRACTION = 0.01
SHIFT_OF_SHARES, SMALL_SHARE = 0.10, 0.05
NUM_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was found."""

    severity: Severity
    """`problem`: scores cannot be believed until it is mended; `warning`: worth a look; `note`: worth knowing."""
    kind: str
    """What it is about, in a word or two."""
    text: str
    """What was found, and what to do."""
    examples: tuple[str, ...] = ()
    """Images or groups, the first few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """Everything that was found."""

    source: str
    """The data set."""
    num_images: int
    """Labelled images."""
    num_looked_at: int
    """Images that were opened."""
    shares: dict[str, tuple[int, int]]
    """Split → (images, deepfakes)."""
    findings: tuple[Finding, ...]
    """Problems first."""
    cues: tuple[Cue, ...]
    """What each single cue tells of the label, the most telling first."""
    state: str = ""
    """What was audited, see `state_of`; empty in audits of earlier versions."""

    @property
    def passed(self) -> bool:
        """No problem was found."""
        return all(finding.severity != "problem" for finding in self.findings)


def audit(dataset: Dataset, scan: Callable[[Sequence[str]], ImageScan], *, thorough: bool) -> Audit:
    """Audits the labelled images of `dataset`.

    Args:
        dataset: With its splits.
        scan: Paths → their scan.
        thorough: Open every image and check labels by cross-validation; else `QUICK_IMAGES` drawn at random. Files with the
            same bytes are looked for among all in any case.
    """
    state = state_of(dataset)  # before any file is read: one that changes meanwhile makes the audit an old one
    whole = _Pool.of(dataset)
    pool = whole if thorough else whole.drawn(QUICK_IMAGES)
    scanned = scan(pool.paths)
    cues = cue_aucs(scanned, pool.labels_n, pool.split_n)
    findings: list[Finding] = [
        *_unreadable(pool, scanned),
        *_exact(whole, same_files(whole.paths)),
        *_near(pool, scanned),
        *_groups(dataset),
        *_cues(cues),
        *_shares(dataset),
        *(
            _labels(pool, scanned)
            if thorough
            else [_not_checked("labels", "the quick form does not; python -m hpsearch.audit does")]
        ),
    ]
    order = ("problem", "warning", "note")
    return Audit(
        source=dataset.source,
        num_images=sum(len(images) for images in _sets(dataset).values()),
        num_looked_at=len(pool.paths),
        shares={name: (len(images), images.num_deepfakes) for name, images in _sets(dataset).items()},
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.severity))),
        cues=cues,
        state=state,
    )


def state_of(dataset: Dataset) -> str:
    """Names what an audit of `dataset` depends on: its files with sizes and times, labels, groups and splits."""
    return f"{address(_Pool.of(dataset).paths, RULE)}-{dataset.fingerprint}"


def _sets(dataset: Dataset) -> dict[str, ImageSet]:
    sets = {"train": dataset.train, "val": dataset.val}
    return sets if dataset.holdout is None else {**sets, "holdout": dataset.holdout}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Pool:
    """The images that are looked at."""

    images: ImageSet
    split_n: NDArray[np.str_]

    @classmethod
    def of(cls, dataset: Dataset) -> _Pool:
        sets = _sets(dataset)
        images = dataset.train.joined(dataset.val)
        if dataset.holdout is not None:
            images = images.joined(dataset.holdout)
        split_n = np.concatenate([np.full(len(part), name) for name, part in sets.items()])
        return cls(images=images, split_n=split_n)

    def drawn(self, most: int) -> _Pool:
        """About `most` of them at most, drawn at random, always the same."""
        if len(self.images) <= most:
            return self
        rows = np.sort(np.random.default_rng(0).permutation(len(self.images))[:most])
        return _Pool(images=self.images.take(rows), split_n=self.split_n[rows])

    @property
    def paths(self) -> Sequence[str]:
        return self.images.paths

    @property
    def names(self) -> Sequence[str]:
        return self.images.names

    @property
    def labels_n(self) -> NDArray[np.int64]:
        return self.images.labels_n

    def named(self, pairs_p2: NDArray[np.int64]) -> tuple[str, ...]:
        """The first few pairs, with their splits."""
        return tuple(
            f"{self.names[left]} ({self.split_n[left]}) = {self.names[right]} ({self.split_n[right]})"
            for left, right in pairs_p2[:NUM_EXAMPLES].tolist()
        )


def _unreadable(pool: _Pool, scanned: ImageScan) -> list[Finding]:
    rows = np.flatnonzero(~scanned.readable_n)
    if not len(rows):
        return []
    is_many = len(rows) > MAX_UNREADABLE_FRACTION * len(scanned)
    text = f"{len(rows):,} of {len(scanned):,} files cannot be read. Replace them or remove them from the label file."
    examples = tuple(pool.names[row] for row in rows[:NUM_EXAMPLES].tolist())
    return [Finding(severity="problem" if is_many else "warning", kind="unreadable", text=text, examples=examples)]


def _exact(pool: _Pool, pairs_p2: NDArray[np.int64]) -> list[Finding]:
    across_p = pool.split_n[pairs_p2[:, 0]] != pool.split_n[pairs_p2[:, 1]]
    differ_p = pool.labels_n[pairs_p2[:, 0]] != pool.labels_n[pairs_p2[:, 1]]
    cases: list[tuple[Severity, NDArray[np.bool_], str, str]] = [
        ("problem", differ_p, "contradiction", "files have the same bytes and different labels. Correct the labels."),
        ("problem", across_p, "duplicate across splits", "files stand in two splits. Remove them from one."),
        ("warning", ~across_p & ~differ_p, "duplicate", "files stand twice in a split. Remove the copies."),
    ]
    return [
        Finding(severity=severity, kind=kind, text=f"{chosen_p.sum():,} {text}", examples=pool.named(pairs_p2[chosen_p]))
        for severity, chosen_p, kind, text in cases
        if chosen_p.any()
    ]


def _near(pool: _Pool, scanned: ImageScan) -> list[Finding]:
    """Of the pairs that are not the same file."""
    pairs_p2 = near_duplicates(scanned)
    pairs_p2 = pairs_p2[scanned.digest_n[pairs_p2[:, 0]] != scanned.digest_n[pairs_p2[:, 1]]]
    across_p = pool.split_n[pairs_p2[:, 0]] != pool.split_n[pairs_p2[:, 1]]
    differ_p = pool.labels_n[pairs_p2[:, 0]] != pool.labels_n[pairs_p2[:, 1]]
    cases: list[tuple[Severity, NDArray[np.bool_], str, str]] = [
        (
            "problem",
            across_p,
            "near-duplicate across splits",
            "pairs of images in two splits show the same picture, re-encoded or resized. Keep such pictures in one split.",
        ),
        ("note", ~across_p & differ_p, "pair", "real images and deepfakes of one split are versions of the same picture."),
        ("note", ~across_p & ~differ_p, "near-duplicate", "pairs of images of one split and class show the same picture."),
    ]
    return [
        Finding(severity=severity, kind=kind, text=f"{chosen_p.sum():,} {text}", examples=pool.named(pairs_p2[chosen_p]))
        for severity, chosen_p, kind, text in cases
        if chosen_p.any()
    ]


def _groups(dataset: Dataset) -> list[Finding]:
    known = {name: set(images.groups) for name, images in _sets(dataset).items() if images.groups is not None}
    names = list(known)
    shared = {
        f"{group} ({first}, {second})"
        for position, first in enumerate(names)
        for second in names[position + 1 :]
        for group in known[first] & known[second]
    }
    if not shared:
        return []
    text = f"{len(shared):,} groups are in two splits, so validation knows them from training. Keep each in one split."
    return [Finding(severity="problem", kind="group in two splits", text=text, examples=tuple(sorted(shared)[:NUM_EXAMPLES]))]


def _cues(cues: Sequence[Cue]) -> list[Finding]:
    findings = []
    for cue in cues:
        if cue.low < WARNING_AUC:
            continue
        severity: Severity = "problem" if cue.low >= PROBLEM_AUC else "warning"
        text = (
            f"{cue.name} alone tells real from deepfake in {cue.split} with an AUC of {cue.auc:.3f} "
            f"({cue.low:.3f} to {cue.high:.3f}): a network may learn that instead. Bring both classes through the same "
            "encoder and size, or train with the augmentation that hides it."
        )
        findings.append(Finding(severity=severity, kind=f"shortcut: {cue.name}", text=text))
    return findings


def _shares(dataset: Dataset) -> list[Finding]:
    shares = {name: images.num_deepfakes / len(images) for name, images in _sets(dataset).items()}
    listed = ", ".join(f"{share:.1%} of {name}" for name, share in shares.items())
    findings = []
    if max(shares.values()) - min(shares.values()) > SHIFT_OF_SHARES:
        text = f"the share of deepfakes differs: {listed}. AUC does not mind; accuracy and thresholds do (see balance)."
        findings.append(Finding(severity="warning", kind="class shares", text=text))
    if min(min(share, 1 - share) for share in shares.values()) < SMALL_SHARE:
        text = f"a class is rare: deepfakes are {listed}. Scores at small false-positive rates hang on few images."
        findings.append(Finding(severity="warning", kind="rare class", text=text))
    return findings


def _labels(pool: _Pool, scanned: ImageScan) -> list[Finding]:
    findings = [_by_statistics(pool, scanned)]
    paired = paired_labels(scanned, pool.labels_n)
    if paired.num_pairs:
        text = (
            f"{len(paired.alike_p2):,} of {paired.num_pairs:,} pictures that are there in two versions have the same label "
            "twice; the others have a real version and a deepfake."
        )
        if len(paired.alike_p2):
            text += " Look at both: a label may be wrong, or they are two frames of one video."
        severity: Severity = "warning" if len(paired.alike_p2) else "note"
        kind = "suspicious labels" if len(paired.alike_p2) else "labels"
        findings.append(Finding(severity=severity, kind=kind, text=text, examples=pool.named(paired.alike_p2)))
    return findings


def _by_statistics(pool: _Pool, scanned: ImageScan) -> Finding:
    found = contradicted_labels(scanned, pool.labels_n, pool.images.groups)
    what = "labels by image statistics"
    if np.isnan(found.auc):
        return _not_checked(what, f"a class has fewer than {MIN_IMAGES} readable images")
    if found.auc < MIN_AUC:
        return _not_checked(
            what,
            f"they tell real from deepfake with a cross-validated AUC of {found.auc:.3f} only; below {MIN_AUC:g} they know too "
            "little to contradict a label",
        )
    if not len(found.rows):
        text = f"no label contradicts what image statistics say of it (cross-validated AUC {found.auc:.3f})."
        return Finding(severity="note", kind="labels", text=text)
    text = (
        f"{len(found.rows):,} labels contradict what image statistics say of them (cross-validated AUC {found.auc:.3f}). "
        "Look at the first; a wrong label costs more than a missing image."
    )
    examples = tuple(f"{pool.names[row]} (label {pool.labels_n[row]})" for row in found.rows[:NUM_EXAMPLES].tolist())
    return Finding(severity="warning", kind="suspicious labels", text=text, examples=examples)


def _not_checked(what: str, reason: str) -> Finding:
    return Finding(severity="note", kind="labels", text=f"{what} not checked: {reason}.")
