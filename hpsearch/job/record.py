"""What a run leaves behind for people and programs: `config.yaml`, `result.json`, tables, page, and its last words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import yaml

from hpsearch.files import as_csv, write_text
from hpsearch.job.figures import final_figures, member_results, prior_shift, write_finalists
from hpsearch.job.last_words import last_words
from hpsearch.job.val_note import TRAINED_ON_ALL, val_note
from hpsearch.judge.audit_file import read_audit, write_audit
from hpsearch.judge.audit_page import as_html
from hpsearch.judge.scores import split_result
from hpsearch.layout import MODEL_CARD, MODEL_DESCRIPTION, MODEL_ONNX, BestResult, Result, RunLayout
from hpsearch.report.provenance import provenance
from hpsearch.report.rebuild import write_page_of
from hpsearch.report.result import read_result, write_result
from hpsearch.report.result import retrained as retrained_trial
from hpsearch.report.summary import gpu_hours
from hpsearch.report.tables import Predictions, write_predictions, write_trials

NOTHING_CHOSEN = "neither weights nor configuration were chosen on these images"
"""Note beside the scores of a holdout."""
FINAL_KEYS = ("confirmation", "holdout", "robustness", "calibration", "prior_shift", "groups", "views", "final", "retrain")
"""What the finals say, beside `best` and `val`."""
ASKED_OF_FINALS = ("finalists", "repeats", "members", "views", "train_on")
"""Settings of `FinalConfig` that finals of before may not have followed."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.data.dataset import ImageSet
    from hpsearch.job.finals import Final
    from hpsearch.job.inputs import Inputs
    from hpsearch.judge.audit import Audit
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


def _told(audit: Audit) -> list[dict[str, str]]:
    return [{"severity": one.severity, "kind": one.kind, "text": one.text} for one in audit.findings]


class Record:
    """Keeps `result.json`, tables and page of one run up to date."""

    def __init__(self, layout: RunLayout, inputs: Inputs, engine: Engine) -> None:
        """Begins with what an earlier call of the same study has left."""
        self._layout = layout
        self._inputs = inputs
        self._engine = engine
        self._final: Result | None = read_result(layout)
        known = read_audit(layout.audit_json)
        self._findings = _told(known) if known else self._final.get("audit", []) if self._final else []
        self._status, self._error = "running", ""

    def begun(self) -> None:
        """Says in an earlier call's `result.json` that it goes on, since who is killed cannot say that it has not ended."""
        if self._final is not None:
            write_result(self._layout, self._result(self._status))

    def unreadable(self, unreadable: Sequence[tuple[str, str]]) -> None:
        """Writes `unreadable.csv`: path and reason of each image that cannot be decoded; nothing where all can."""
        if unreadable:
            write_text(self._layout.unreadable, as_csv([("path", "reason"), *unreadable]))

    def audited(self, audit: Audit, say: Callable[[str], None]) -> None:
        """Writes the audit as a page and for programs, and says the problems and warnings."""
        write_audit(self._layout.audit_json, audit)
        write_text(self._layout.audit, as_html(audit))
        self._findings = _told(audit)
        for one in audit.findings:
            if one.severity != "note":
                say(f"audit: {one.severity}: {one.text}")

    def has_finals(self) -> bool:
        """Whether the export, its scores and its answers are those of the study as it stands, and of what is asked now."""
        if self._final is None or self._final.get("final", self._asked()) != self._asked():
            return False
        confirmation = self._final.get("confirmation")
        files = (self._layout.best / MODEL_DESCRIPTION, self._layout.val_predictions)
        if confirmation is None or not all(file.is_file() for file in files):
            return False
        known = [one["trial"] for one in confirmation["finalists"]]
        able = [trial.number for trial in self._engine.study.ranking()] or known
        return known == able[: len(known)]

    def _asked(self) -> dict[str, str | int]:
        return {name: getattr(self._inputs.config.final, name) for name in ASKED_OF_FINALS}

    def finals(self, final: Final, unreadable: Sequence[tuple[str, str]]) -> None:
        """Keeps the winner's scores and answers; images in `unreadable` have none."""
        left_out = {path for path, _ in unreadable}
        val = _readable(self._inputs.dataset.val, left_out)
        assessment = final.assessment
        answers = Predictions(names=tuple(val.names), labels_n=val.labels_n, probabilities_n=assessment.val_n)
        write_predictions(self._layout, answers)
        write_finalists(self._layout, final, self._inputs.config.seed)
        result = self._result("running")
        best = BestResult(
            trial=final.best.number,
            params=dict(final.best.params),
            backbone=str(final.best.params["backbone"]),
            num_parameters=final.num_parameters,
        )
        if len(final.members) > 1:
            best["members"] = member_results(final, self._engine.study)
        result["best"] = best
        note = val_note(assessment.views, len(final.members), trained_on_all=final.trained_on_all)
        result["val"] = split_result(val.labels_n, assessment.val_n, note=note)
        result["retrain"] = cast("list[RetrainRung]", final.retrained.curve)
        result.update(final_figures(final, val))
        result["final"] = self._asked()
        if self._inputs.dataset.holdout is not None and assessment.holdout_n is not None:
            holdout = _readable(self._inputs.dataset.holdout, left_out)
            note = f"{NOTHING_CHOSEN}; {TRAINED_ON_ALL}" if final.trained_on_all else NOTHING_CHOSEN
            result["holdout"] = split_result(holdout.labels_n, assessment.holdout_n, note=note)
        self._final = result
        self.write("running")

    def predicted(self, probabilities_n: NDArray[np.float64]) -> None:
        """Keeps what the answers for the template say of its share of deepfakes."""
        if self._final is not None:
            self._final["prior_shift"] = prior_shift(self._inputs.dataset, self._final, probabilities_n)
            self.write("running")

    @property
    def retraining(self) -> TrialState | None:
        """The retraining as a trial, for curves; None before it."""
        return retrained_trial(self._final)

    def write(self, status: str, error: str = "") -> None:
        """Writes `result.json`, `trials.csv` and the page; `error` is what interrupted the run."""
        self._status, self._error = status, error
        write_trials(self._layout, self._engine.study)
        write_result(self._layout, self._result(status))
        write_page_of(self._layout)

    def _result(self, status: str) -> Result:
        study, final = self._engine.study, self._final
        result = Result(
            status=status,
            trials={outcome.value: count for outcome, count in study.counts().items()},
            best=final["best"] if final else None,
            val=final["val"] if final else None,
            images_trained=study.images_trained + (final["confirmation"]["images"] if final and "confirmation" in final else 0),
            seconds={name: round(seconds, 2) for name, seconds in study.phases.items()},
            gpu_hours=round(gpu_hours(study), 4),
            files=self._files(),
        )
        kept = {key: final[key] for key in FINAL_KEYS if key in final} if final else {}  # type: ignore[literal-required]  # in a loop
        result.update(cast("Result", kept))
        if self._error:
            result["error"] = self._error
        if self._findings:
            result["audit"] = self._findings
        return result

    def _files(self) -> dict[str, str]:
        layout = self._layout
        artefacts = {
            "config": layout.config,
            "journal": layout.journal,
            "study_log": layout.study_log,
            "trials": layout.trials_csv,
            "finalists": layout.finalists_csv,
            "tensorboard": layout.trials,
            "model": layout.best,
            "onnx": layout.best / MODEL_ONNX,
            "model_card": layout.best / MODEL_CARD,
            "mistakes": layout.mistakes,
            "val_predictions": layout.val_predictions,
            "submission": layout.submission,
            "unreadable": layout.unreadable,
            "audit": layout.audit,
            "audit_json": layout.audit_json,
            "page": layout.page,
        }
        return {name: str(file.relative_to(layout.root)) for name, file in artefacts.items() if name == "page" or file.exists()}

    def last_words(self) -> str:
        """What the run says when it ends."""
        return last_words(self._layout, self._result(self._status))
