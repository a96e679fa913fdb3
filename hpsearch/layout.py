"""Every file name of a run directory and every key of `result.json`; added to, never renamed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict


@dataclass(frozen=True, slots=True)
class RunLayout:
    """Where each artefact of one run lies below `root`."""

    root: Path

    @property
    def config(self) -> Path:
        """Everything that was asked for, resolved; commit, package versions, hardware."""
        return self.root / "config.yaml"

    @property
    def journal(self) -> Path:
        """The study: every event, in order; the only truth."""
        return self.root / "journal.jsonl"

    @property
    def study_log(self) -> Path:
        """Optuna journal file of the same study, a view for optuna-dashboard."""
        return self.root / "study.log"

    @property
    def trials(self) -> Path:
        """Parent of the trials' directories; also TensorBoard's log directory."""
        return self.root / "trials"

    def trial(self, number: int) -> Path:
        """TensorBoard events of one trial, and its checkpoint while it may still be resumed."""
        return self.trials / str(number)

    def checkpoint(self, number: int) -> Path:
        """State of a trial that may still be resumed."""
        return self.trial(number) / "checkpoint.pt"

    @property
    def trials_csv(self) -> Path:
        """One row a trial: parameters, rung values, outcome, seconds."""
        return self.root / "trials.csv"

    @property
    def finalists_csv(self) -> Path:
        """One row a finalist and seed."""
        return self.root / "finalists.csv"

    @property
    def best(self) -> Path:
        """The exported model: all that is needed to rebuild and use it."""
        return self.root / "best"

    @property
    def retrain(self) -> Path:
        """TensorBoard events and checkpoint of the retrained best configuration."""
        return self.root / "retrain"

    def training(self, trial: int, repeat: int) -> Path:
        """Checkpoint, curve and model of a finalist's fresh training."""
        return self.retrain / f"trial-{trial}-seed-{repeat}"

    @property
    def val_predictions(self) -> Path:
        """`img_name,target,y_pred`: the retrained model's answer for each validation image."""
        return self.root / "val_predictions.csv"

    @property
    def mistakes(self) -> Path:
        """Pictures of the validation images that the retrained model got most wrong."""
        return self.root / "mistakes"

    @property
    def submission(self) -> Path:
        """`img_name,y_pred` for each name of the template."""
        return self.root / "submission.csv"

    @property
    def result(self) -> Path:
        """Machine-readable summary, see `Result`."""
        return self.root / "result.json"

    @property
    def page(self) -> Path:
        """The page, one file, no network."""
        return self.root / "report.html"

    @property
    def unreadable(self) -> Path:
        """Images that could not be decoded: path and reason."""
        return self.root / "unreadable.csv"

    @property
    def weights(self) -> Path:
        """The start weights that the space may ask for, where every node finds them; removable once the study is done."""
        return self.root / "weights"

    @property
    def packing(self) -> Path:
        """What trials that share a GPU were measured to do, where `resources.gpus_per_trial` is `auto`."""
        return self.root / "packing.json"

    @property
    def audit(self) -> Path:
        """What the quick audit before the search found wrong with the images, one page."""
        return self.root / "audit.html"

    @property
    def audit_json(self) -> Path:
        """The same for programs, see `judge.audit.Audit`."""
        return self.root / "audit.json"

    @property
    def tune(self) -> Path:
        """What Ray Tune writes for itself; removable."""
        return self.root / ".tune"

    @property
    def log(self) -> Path:
        """Messages of the driver with times."""
        return self.root / "hpsearch.log"


MODEL_WEIGHTS = "model.safetensors"
"""Name of the weight file inside an export directory."""

MODEL_DESCRIPTION = "model.json"
"""Name of the description inside an export directory."""


MODEL_ONNX = "model.onnx"
"""Name of the same model for other runtimes inside an export directory."""

MODEL_CARD = "README.md"
"""Name of the model card inside an export directory."""


class SplitResult(TypedDict):
    """Scores of one set of images."""

    auc: float
    """Area under the ROC curve, ties counted half."""
    auc_ci95: tuple[float, float]
    """Lower and upper end of the 95 % confidence interval (DeLong)."""
    accuracy: float
    """Fraction right at threshold 0.5."""
    majority_accuracy: float
    """Accuracy of always answering the larger class."""
    tpr_at_fpr: dict[str, float]
    """True-positive rate at the false-positive rates `0.01`, `0.005` and `0.001`."""
    num_images: int
    """Images scored."""
    num_real: NotRequired[int]
    """Of them, real ones: what a true-positive rate at a small false-positive rate hangs on."""
    eer: NotRequired[float]
    """Equal error rate."""
    balanced_accuracy: NotRequired[float]
    """Mean of both classes' accuracies at threshold 0.5."""
    brier: NotRequired[float]
    """Brier score."""
    note: NotRequired[str]
    """What a reader must know about this score."""


class MemberResult(TypedDict):
    """One network of an ensemble."""

    trial: int
    """Number of the trial whose configuration it has."""
    repeat: int
    """Which fresh training of it, from 1."""
    backbone: str
    """timm name."""
    value: float
    """Its own objective on the validation images."""


class BestResult(TypedDict):
    """The chosen configuration."""

    trial: int
    """Number of the trial."""
    params: dict[str, object]
    """Its parameters, absent ones absent."""
    backbone: str
    """timm name."""
    num_parameters: int
    """Parameters of the exported module."""
    members: NotRequired[list[MemberResult]]
    """The networks whose answers it averages, the winner's first; absent: it is one network."""


class RetrainRung(TypedDict):
    """One evaluation during the retraining, in the words of the journal's `rung` event."""

    images: int
    """Images seen."""
    value: float
    """Objective on the validation images."""
    seconds: float
    """Wall seconds since the evaluation before."""
    metrics: dict[str, object]
    """What else was reported."""


class FinalistResult(TypedDict):
    """One finalist."""

    trial: int
    """Number of the trial."""
    first_score: float | None
    """Objective in the search; None: it was not compared."""
    values: list[float]
    """Objective of each fresh training."""
    mean: float | None
    """Their mean; None: no fresh training ended well."""
    lower: float | None
    """Lower bound of the mean (one-sided 95 %, of the training's noise)."""
    dropped: bool
    """Clearly beaten, or failed."""


class ConfirmationResult(TypedDict):
    """What fresh seeds said of the best trials."""

    finalists: list[FinalistResult]
    """By first score, the best first."""
    winner: int
    """Trial with the best lower bound."""
    order_changed: bool
    """Whether the search alone would have chosen another one."""
    optimism: float | None
    """First score of the winner minus the mean of its fresh values."""
    noise: float
    """Standard deviation of one training's value."""
    num_trainings: int
    """Fresh trainings."""
    images: int
    """Images that they saw."""


class RobustnessResult(TypedDict):
    """AUC under degradations."""

    auc: dict[str, float]
    """By degradation: `none`, `jpeg 90` (quality), `blur 1` (sigma, stored pixels), `noise 5` (of 255), `resize 0.5`."""
    num_images: int
    """Validation images that were degraded."""


class PriorShiftResult(TypedDict):
    """Share of deepfakes of each split."""

    train: float
    """Of the training images, by their labels."""
    val: float
    """Of the validation images, by their labels."""
    template: NotRequired[float]
    """Of the template's images, as the answers suggest; where there is a calibration."""


class Result(TypedDict):
    """Content of `result.json`."""

    status: str
    """`done`, `interrupted` or `running`."""
    error: NotRequired[str]
    """What ended a run that was interrupted, where an error did."""
    trials: dict[str, int]
    """Count for each outcome: completed, paused, diverged, infeasible, failed."""
    best: BestResult | None
    """The chosen configuration."""
    val: SplitResult | None
    """Scores of the retrained model on the validation images."""
    holdout: NotRequired[SplitResult]
    """Scores on images that nothing was chosen on."""
    audit: NotRequired[list[dict[str, str]]]
    """What the audit found: `severity` (problem, warning or note), `kind` and `text`, the worst first."""
    confirmation: NotRequired[ConfirmationResult]
    """Finalists with fresh seeds, and the optimism of the search."""
    robustness: NotRequired[RobustnessResult]
    """AUC of the exported model, one view, on degraded validation images."""
    calibration: NotRequired[dict[str, float]]
    """Temperature and bias, Brier score and calibration error before and after them, on half of the validation images."""
    prior_shift: NotRequired[PriorShiftResult]
    """Share of deepfakes of each split."""
    groups: NotRequired[dict[str, float]]
    """AUC of the validation images of each group that is large enough, the worst first."""
    views: NotRequired[str]
    """Views that the exported model averages."""
    final: NotRequired[dict[str, str | int]]
    """What was asked of the finals that this tells of: `finalists`, `repeats`, `members`, `views`, `train_on`."""
    retrain: NotRequired[list[RetrainRung]]
    """The retraining's evaluations, by images seen."""
    images_trained: int
    """Images of all journaled rungs and of the retraining, forward and backward."""
    seconds: dict[str, float]
    """Wall seconds by phase, over restarts."""
    gpu_hours: float
    """GPU share × wall time of all stretches, whatever came of them, of retraining and of judging."""
    files: dict[str, str]
    """Artefact → path relative to the run directory."""
