"""What a run leaves behind for people and programs: `config.yaml`, `result.json`, tables, page, and its last words."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import yaml

from hpsearch.files import write_text
from hpsearch.job.last_words import last_words
from hpsearch.job.spending import gpu_hours
from hpsearch.judge.scores import split_result
from hpsearch.layout import MODEL_CARD, MODEL_DESCRIPTION, MODEL_ONNX, BestResult, Result, RunLayout
from hpsearch.report.provenance import provenance
from hpsearch.report.rebuild import write_page_of
from hpsearch.report.result import read_result, write_result
from hpsearch.report.result import retrained as retrained_trial
from hpsearch.report.tables import Predictions, write_predictions, write_trials

CHOSEN_ON_VAL = "the configuration was chosen on these images, so this score is a little too good; its weights never saw them"
"""Note beside the validation scores."""
NOTHING_CHOSEN = "neither weights nor configuration were chosen on these images"
"""Note beside the scores of a holdout."""

if TYPE_CHECKING:
    from hpsearch.data.dataset import ImageSet
    from hpsearch.final.retrain import Retrained
    from hpsearch.job.inputs import Inputs
    from hpsearch.layout import RetrainRung
    from hpsearch.search.engine import Engine
    from hpsearch.search.types import TrialState


def write_config(layout: RunLayout, inputs: Inputs) -> None:
    """Replaces `config.yaml`: everything that was asked for, resolved, and where it ran."""
    content = {"config": _plain(asdict(inputs.config)), "space": inputs.space.to_dict(), "data": _facts(inputs), **provenance()}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_text(layout.config, f"# Resolved configuration of the last call; written by hpsearch.\n{text}")


def _facts(inputs: Inputs) -> dict[str, Any]:
    dataset = inputs.dataset
    held = dataset.holdout
    return {
        "train": {"images": len(dataset.train), "deepfakes": dataset.train.num_deepfakes},
        "val": {"images": len(dataset.val), "deepfakes": dataset.val.num_deepfakes},
        **({"holdout": {"images": len(held), "deepfakes": held.num_deepfakes}} if held is not None else {}),
        "template": len(dataset.template) if dataset.template else 0,
        "stored_px": inputs.stored_px_by_size(),
        "fingerprint": dataset.fingerprint,
        "notes": list(dataset.notes),
    }


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(item) for item in tree] if isinstance(tree, list | tuple) else tree


def _readable(images: ImageSet, left_out: set[str]) -> ImageSet:
    return images.take(row for row, path in enumerate(images.paths) if path not in left_out)


class Record:
    """Keeps `result.json`, tables and page of one run up to date."""

    def __init__(self, layout: RunLayout, inputs: Inputs, engine: Engine) -> None:
        """Begins with what an earlier call of the same study has left."""
        self._layout = layout
        self._inputs = inputs
        self._engine = engine
        self._final: Result | None = read_result(layout)
        self._status = "running"

    def unreadable(self, unreadable: Sequence[tuple[str, str]]) -> None:
        """Writes `unreadable.csv`: path and reason of each image that cannot be decoded; nothing where all can."""
        if unreadable:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([("path", "reason"), *unreadable])
            write_text(self._layout.unreadable, text.getvalue())

    def has_retrained(self, trial: TrialState) -> bool:
        """Whether the export, its scores and its answers are those of `trial`."""
        best = self._final["best"] if self._final else None
        files = (self._layout.best / MODEL_DESCRIPTION, self._layout.val_predictions)
        return best is not None and best["trial"] == trial.number and all(file.is_file() for file in files)

    def retrained(self, trial: TrialState, retrained: Retrained, unreadable: Sequence[tuple[str, str]]) -> None:
        """Keeps the retrained model's scores and answers; the validation images in `unreadable` have none."""
        left_out = {path for path, _ in unreadable}
        val = _readable(self._inputs.dataset.val, left_out)
        answers = Predictions(names=val.names, labels_n=val.labels_n, probabilities_n=retrained.probabilities_n)
        write_predictions(self._layout, answers)
        result = self._result("running")
        result["best"] = BestResult(
            trial=trial.number,
            params=dict(trial.params),
            backbone=str(trial.params["backbone"]),
            num_parameters=retrained.num_parameters,
        )
        result["val"] = split_result(val.labels_n, retrained.probabilities_n, note=CHOSEN_ON_VAL)
        result["retrain"] = cast("list[RetrainRung]", retrained.curve)
        if self._inputs.dataset.holdout is not None and retrained.holdout_n is not None:
            holdout = _readable(self._inputs.dataset.holdout, left_out)
            result["holdout"] = split_result(holdout.labels_n, retrained.holdout_n, note=NOTHING_CHOSEN)
        self._final = result
        self.write("running")

    @property
    def retraining(self) -> TrialState | None:
        """The retraining as a trial, for curves; None before it."""
        return retrained_trial(self._final)

    def write(self, status: str) -> None:
        """Writes `result.json`, `trials.csv` and the page."""
        self._status = status
        write_trials(self._layout, self._engine.study)
        write_result(self._layout, self._result(status))
        write_page_of(self._layout)

    def _result(self, status: str) -> Result:
        study, final = self._engine.study, self._final
        curve = final.get("retrain", []) if final else []
        result = Result(
            status=status,
            trials={outcome.value: count for outcome, count in study.counts().items()},
            best=final["best"] if final else None,
            val=final["val"] if final else None,
            images_trained=study.images_trained + (curve[-1]["images"] if curve else 0),
            seconds={name: round(seconds, 2) for name, seconds in study.phases.items()},
            gpu_hours=round(gpu_hours(study), 4),
            files=self._files(),
        )
        if curve:
            result["retrain"] = curve
        if final and "holdout" in final:
            result["holdout"] = final["holdout"]
        return result

    def _files(self) -> dict[str, str]:
        layout = self._layout
        artefacts = {
            "config": layout.config,
            "journal": layout.journal,
            "study_log": layout.study_log,
            "trials": layout.trials_csv,
            "tensorboard": layout.trials,
            "model": layout.best,
            "onnx": layout.best / MODEL_ONNX,
            "model_card": layout.best / MODEL_CARD,
            "mistakes": layout.mistakes,
            "val_predictions": layout.val_predictions,
            "submission": layout.submission,
            "unreadable": layout.unreadable,
            "page": layout.page,
        }
        return {name: str(file.relative_to(layout.root)) for name, file in artefacts.items() if name == "page" or file.exists()}

    def last_words(self) -> str:
        """What the run says when it ends."""
        return last_words(self._layout, self._result(self._status))
