"""What the finals add to `result.json`, and `finalists.csv`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hpsearch.files import as_csv, write_text
from hpsearch.judge.figures import calibrate, calibrated, deepfake_share
from hpsearch.judge.objectives import part_aucs
from hpsearch.layout import ConfirmationResult, FinalistResult, MemberResult, PriorShiftResult, RobustnessResult
from hpsearch.train.settings import trial_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.data.dataset import Dataset, ImageSet
    from hpsearch.job.finals import Final
    from hpsearch.layout import Result, RunLayout
    from hpsearch.search.fold import Study

NUM_GROUPS = 20
"""Groups that are named, the worst first."""


def final_figures(final: Final, val: ImageSet) -> Any:
    """The keys of `Result` beside `best`, `val` and `holdout` that follow from the finals; `val` are the readable images."""
    assessment = final.assessment
    figures: dict[str, Any] = {
        "confirmation": _confirmation(final),
        "robustness": RobustnessResult(auc=assessment.robustness, num_images=assessment.num_degraded),
        "views": assessment.views,
    }
    calibration = calibrate(val.labels_n, assessment.val_n, val.groups or val.names)
    if calibration is not None:
        figures["calibration"] = asdict(calibration)
    by_group = _by_group(val, assessment.val_n)
    if by_group:
        figures["groups"] = dict(sorted(by_group.items(), key=lambda pair: pair[1])[:NUM_GROUPS])
    return figures


def _by_group(val: ImageSet, answers_n: NDArray[np.float64]) -> dict[str, float]:
    """AUC of each group where groups are known and large enough, else of each part that the split made."""
    for names in (val.groups, val.parts):
        found = part_aucs(val.labels_n, answers_n, names) if names else {}
        if found:
            return found
    return {}


def _confirmation(final: Final) -> ConfirmationResult:
    found = final.confirmation
    return ConfirmationResult(
        finalists=[
            FinalistResult(
                trial=one.trial,
                first_score=one.first_score,
                values=list(one.values),
                mean=one.mean if one.values else None,
                lower=one.lower if one.values else None,
                dropped=one.dropped,
            )
            for one in found.standings
        ],
        winner=found.winner,
        order_changed=found.order_changed,
        optimism=found.optimism,
        noise=found.noise,
        num_trainings=found.num_trainings,
        images=sum(retrained.curve[-1]["images"] for retrained in final.trainings.values()),
    )


def member_results(final: Final, study: Study) -> list[MemberResult]:
    """The networks of the exported model, the winner's first."""
    return [
        MemberResult(
            trial=one.trial,
            repeat=one.repeat,
            backbone=str(study.trials[one.trial].params["backbone"]),
            value=final.trainings[one].value,
        )
        for one in final.members
    ]


def prior_shift(dataset: Dataset, result: Result, probabilities_n: NDArray[np.float64]) -> PriorShiftResult:
    """Share of deepfakes in training and validation, and as the answers `probabilities_n` for the template suggest.

    The last one needs answers that are calibrated to the validation images' share: a network answers by that of its training.
    """
    val_share = dataset.val.num_deepfakes / len(dataset.val)
    shares = PriorShiftResult(train=dataset.train.num_deepfakes / len(dataset.train), val=val_share)
    found = result.get("calibration")
    if found is not None and "bias" in found:
        answers_n = calibrated(probabilities_n, found["temperature"], found["bias"])
        shares["template"] = deepfake_share(answers_n, val_share)
    return shares


def write_finalists(layout: RunLayout, final: Final, seed: int) -> None:
    """Replaces `finalists.csv`: one row a finalist and fresh seed.

    Raises:
        StorageError: the run directory cannot be written.
    """
    standings = {one.trial: one for one in final.confirmation.standings}
    rows: list[list[object]] = [
        ["trial", "repeat", "seed", "first_score", "value", "auc", "accuracy", "images", "seconds", "dropped", "winner"]
    ]
    order = {trial: rank for rank, trial in enumerate(standings)}
    for training, retrained in sorted(final.trainings.items(), key=lambda pair: (order[pair[0].trial], pair[0].repeat)):
        last = retrained.curve[-1]
        rows.append(
            [
                training.trial,
                training.repeat,
                trial_seed(seed, training.trial, repeat=training.repeat),
                standings[training.trial].first_score,
                retrained.value,
                last["metrics"]["auc"],
                last["metrics"]["accuracy"],
                last["images"],
                round(sum(point["seconds"] for point in retrained.curve), 3),
                standings[training.trial].dropped,
                training.trial == final.confirmation.winner,
            ]
        )
    write_text(layout.finalists_csv, as_csv(rows))
