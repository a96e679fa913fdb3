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
    auc_ci95: list[float]
    """Lower and upper end of the 95 % confidence interval (DeLong)."""
    accuracy: float
    """Fraction right at threshold 0.5."""
    majority_accuracy: float
    """Accuracy of always answering the larger class."""
    tpr_at_fpr: dict[str, float]
    """True-positive rate at the false-positive rates `0.01`, `0.005` and `0.001`."""
    num_images: int
    """Images scored."""
    note: NotRequired[str]
    """What a reader must know about this score."""


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


class Result(TypedDict):
    """Content of `result.json`."""

    status: str
    """`done`, `interrupted` or `running`."""
    trials: dict[str, int]
    """Count for each outcome: completed, paused, diverged, infeasible, failed."""
    best: BestResult | None
    """The chosen configuration."""
    val: SplitResult | None
    """Scores of the retrained model on the validation images."""
    holdout: NotRequired[SplitResult]
    """Scores on images that nothing was chosen on."""
    retrain: NotRequired[list[RetrainRung]]
    """The retraining's evaluations, by images seen."""
    images_trained: int
    """Images of all journaled rungs and of the retraining, forward and backward."""
    seconds: dict[str, float]
    """Wall seconds by phase, over restarts."""
    gpu_hours: float
    """GPU share × wall time of all stretches and of the retraining."""
    files: dict[str, str]
    """Artefact → path relative to the run directory."""
