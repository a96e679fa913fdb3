"""`run --retrain best/model.json`: trains one known configuration to the end, without a search.

It is a run like any other, with a journal, a page and an export; its study holds one trial, which is never compared.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hpsearch.config import RunConfig
from hpsearch.errors import InputError
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.session import Ending
from hpsearch.final.export import export_at, read_description
from hpsearch.job.inputs import Inputs, read_dataset
from hpsearch.job.phases import Run
from hpsearch.job.start_weights import check_start_weights
from hpsearch.layout import MODEL_DESCRIPTION
from hpsearch.search.space import Space
from hpsearch.search.space_start import MAX_PARAMETERS
from hpsearch.search.types import Outcome, TrialState
from hpsearch.train.plugins import import_plugins
from hpsearch.train.vocabulary import TrainVocabulary


def given_inputs(file: Path, config: RunConfig, fixed: dict[str, Any]) -> Inputs:
    """What to train by a `model.json`: its configuration, for as many images as that model has seen.

    Args:
        file: A `model.json`, the folder that holds it, or a run that has one.
        config: Options of this run.
        fixed: Parameters that replace those of the file (`--set fixed.NAME=VALUE`).

    Raises:
        InputError: no such file, or a configuration that cannot be trained here.
    """
    if file.name != MODEL_DESCRIPTION and not file.is_dir():
        raise InputError(
            f"--retrain {file}: give the {MODEL_DESCRIPTION} of an export, for example runs/faces/best/{MODEL_DESCRIPTION}."
        )
    description = read_description(export_at(file))
    unnamed = [plugin for plugin in description.plugins if plugin not in config.plugins]
    if unnamed:
        listed = ",".join((*config.plugins, *unnamed))
        raise InputError(f"--retrain {file}: needs the module {unnamed[0]!r}. If you trust it, add --set plugins=[{listed}]")
    import_plugins(config.plugins)
    given = {**description.params, "images_per_trial": description.images_trained}
    limits = {"num_parameters": max(description.num_parameters, MAX_PARAMETERS)}
    space = Space.from_dict({"fixed": given, "start": [{}], "limits": limits}, TrainVocabulary(), fixed)
    check_start_weights(space, config.train.weights_policy)
    images = int(space.fixed["images_per_trial"])
    dataset = read_dataset(config)
    if description.members:
        note = f"{file} averages {len(description.members)} networks; the configuration of the first is trained, alone"
        dataset = replace(dataset, notes=(*dataset.notes, note))
    return Inputs(
        config=config,
        dataset=dataset,
        space=space,
        images_per_trial=images,
        rungs=(images,),
        earlier={},
    )


class GivenRun(Run):
    """A run whose configuration is known."""

    def _search(self, resources: TrialResources) -> Ending:
        """Journals the one trial, which the retraining trains."""
        if not self.engine.study.trials:
            stretch = self.engine.next(0)
            assert stretch is not None, "a new study has a first trial"
            self.engine.end(stretch.trial, Outcome.PAUSED, "given, not compared")
        return Ending.FINISHED

    def _able(self) -> list[TrialState]:
        return [self.engine.study.trials[0]]
