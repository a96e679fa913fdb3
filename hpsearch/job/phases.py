"""The phases of a run, in order: cache, search, finals, submission, report. Each looks for its own finished artefact first."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.config import identity
from hpsearch.errors import EXIT_DONE, EXIT_INTERRUPTED, HpsearchError
from hpsearch.execute.checkpoints import CheckpointKeeper
from hpsearch.execute.connect import connect, tell_of_other_runs
from hpsearch.execute.growth import growing
from hpsearch.execute.interrupt import listen_everywhere
from hpsearch.execute.nodes import Nodes
from hpsearch.execute.packing import with_packing
from hpsearch.execute.preflight import check_storage
from hpsearch.execute.resources import TrialResources, plan_resources, whole_machine
from hpsearch.execute.runner import MakeTrainingRunner, SearchJob
from hpsearch.execute.search_loop import run_search
from hpsearch.execute.session import Ending
from hpsearch.final.assess import num_judged
from hpsearch.job.able import able_trials
from hpsearch.job.best_pictures import BestPictures
from hpsearch.job.check_cluster import check_cluster
from hpsearch.job.check_template import check_template
from hpsearch.job.finals import Finals
from hpsearch.job.fresh_trainings import FreshTrainings
from hpsearch.job.handover import complete_export
from hpsearch.job.inputs import cache_directory, scanner
from hpsearch.job.log_file import log_to
from hpsearch.job.packing import packing_job
from hpsearch.job.place import place_of
from hpsearch.job.record import Record, write_config
from hpsearch.job.spending import SMALL_TEMPLATE, Spending, budget_use, check_gpu_hours
from hpsearch.job.start_weights import fetch_start_weights
from hpsearch.job.submission import Submission
from hpsearch.job.watch import Watch
from hpsearch.judge.audit import audit
from hpsearch.judge.audit_file import is_current
from hpsearch.report.display import Display, DisplayMode
from hpsearch.report.tensorboard import TensorBoardWriter
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.study_log import StudyLog
from hpsearch.search.types import EngineConfig
from hpsearch.train.worker_setup import WorkerSetup

if TYPE_CHECKING:
    from hpsearch.job.inputs import Inputs
    from hpsearch.search.types import TrialState

log = logging.getLogger(__name__)
CORE_EFFICIENCY = 0.7
"""Share of a core's speed that each further core adds to a small network's training; seen with two cores at 64 px."""


class Run:
    """One call of the command, from checked inputs to the last line."""

    def __init__(self, inputs: Inputs, *, display_mode: DisplayMode, began: float) -> None:
        """Takes checked inputs; the command began at `began` on the monotonic clock. Nothing is written yet."""
        self.inputs = inputs
        self.config = inputs.config
        self.place = place_of(self.config)
        self.layout = self.place.layout
        self.display = Display(display_mode, name=self.config.name)
        self.nodes = Nodes(self.display.event)
        self.setup = WorkerSetup(
            cache_dir=str(cache_directory(self.config.data)),
            max_unreadable_fraction=self.config.data.max_unreadable_fraction,
            precision=self.config.train.precision,
            compile=self.config.train.compile,
            plugins=self.config.plugins,
            files=self.place.files,
        )
        self.began = began

    def whole_job(self) -> int:
        """All phases; returns the exit code.

        Raises:
            HpsearchError: with its own exit code; everything journaled is kept.
        """
        template = self.inputs.dataset.template
        self.notes = [*self.inputs.notes, *(check_template(template) if template is not None else [])]
        check_storage(self.layout.root)
        with contextlib.closing(self.place.open_journal()) as journal, log_to(self.layout.log):
            self.engine = self._open_engine(journal)
            self.record = Record(self.layout, self.inputs, self.engine)
            self.record.begun()
            self.submission = Submission(
                inputs=self.inputs,
                layout=self.layout,
                record=self.record,
                display=self.display,
                setup=self.setup,
                nodes=self.nodes,
            )
            self.tensorboard = TensorBoardWriter(self.layout, self.engine.study)
            self.tensorboard.replay(journal.events)
            with self.display:
                try:
                    code = self._phases()
                except KeyboardInterrupt:
                    code = EXIT_INTERRUPTED
                except Exception as error:
                    self._leave_behind(error)
                    raise
                self.record.write("done" if code == EXIT_DONE else "interrupted")
                self.place.files.send_below(self.layout.root)
        self.last_words = self.record.last_words() + self.place.where()
        return code

    def _leave_behind(self, error: Exception) -> None:
        """Says in page, result and log what ended the run; nothing in the place of a run directory that is gone."""
        log.warning("the run ended: %s", error)
        with contextlib.suppress(HpsearchError, OSError):
            if self.layout.config.is_file():
                self.record.write("interrupted", str(error))
                self.place.files.send_below(self.layout.root)

    def _open_engine(self, journal: Journal) -> Engine:
        config = EngineConfig(
            rungs=self.inputs.rungs,
            eta=self.config.search.eta,
            seed=self.config.seed,
            sampler=self.config.search.sampler,
            num_trials=self.config.budget.trials,
        )
        same = {**identity(self.config), "data.fingerprint": self.inputs.dataset.fingerprint}
        engine = Engine.open(self.inputs.space, config, journal, identity=same, earlier=self.inputs.earlier)
        self.earlier_seconds = engine.study.driven_seconds
        write_config(self.layout, self.inputs)
        return engine

    def _phases(self) -> int:
        self.display.event(f"run directory {self.layout.root}; --name {self.config.name} continues it")
        for note in self.notes:
            self.display.event(note)
        if self.engine.study.earlier:
            self.display.event(f"warm start: the sampler knows {len(self.engine.study.earlier)} trials of earlier studies")
        with self._phase("fetching start weights"):
            found = fetch_start_weights(
                self.inputs.space,
                self.layout.weights.resolve(),
                lambda source: self.display.event(f"start weights {source.tag}: {source.file}"),
            )
            self.setup = replace(self.setup, start_weights=found)
        if not (self._search_is_over() and self.record.has_finals()):
            ending = self._on_ray()
            if ending is Ending.INTERRUPTED:
                return EXIT_INTERRUPTED
        if self.submission.is_missing:
            with self._phase("predicting"):
                self.submission.make_here()
        with self._phase("describing the model"):
            complete_export(self.layout, self.inputs.dataset, self.display, self.tensorboard)
        return EXIT_DONE

    def _search_is_over(self) -> bool:
        """Whether nothing will be handed out any more, as far as that can be said without a cluster."""
        seconds = self.earlier_seconds + time.monotonic() - self.began
        return self.engine.finished or budget_use(self.engine.study, self.config.budget, seconds).is_used_up

    def _on_ray(self) -> Ending:
        """Searches and retrains; says how the search ended."""
        if not self.config.address:
            tell_of_other_runs(self.display.event)
        with self._phase("starting Ray"):
            cluster = connect(self.config.address, tune_dir=self.layout.tune, plugins=self.config.plugins)
            listen_everywhere()
        with cluster, growing(self.config.resources, say=self.display.event):
            self._check_nodes()
            nodes = cluster.nodes()
            asked = plan_resources(self.config.resources, nodes)  # what no node holds is refused before images are read
            check_gpu_hours(self.config.budget, asked.gpus, self.display.event)
            with self._phase("reading images"):
                self._fill_cache()
            if not (self.layout.audit.is_file() and is_current(self.layout.audit_json, self.inputs.dataset)):
                with self._phase("auditing images"):
                    self._audit()
            shares = with_packing(self.config.resources, nodes, lambda: packing_job(self.inputs), self.layout.packing)
            resources = plan_resources(shares, nodes)
            whole = whole_machine(resources, nodes)
            self.spending = self._clock(resources, whole)
            self.engine.resources(resources.gpus)
            with self._phase("searching"):
                ending = self._search(resources)
            if ending is not Ending.INTERRUPTED and not self.record.has_finals():
                self._finals(self._with_slots_now(resources), whole)
            if ending is not Ending.INTERRUPTED and self.config.address and self.submission.is_missing:
                resources = self._with_slots_now(resources)
                with self._phase("predicting", resources.gpus * self.submission.num_parts(resources)):
                    self.submission.make_on_workers(resources)
        return ending

    def _with_slots_now(self, resources: TrialResources) -> TrialResources:
        """With as many trainings at a time as the nodes hold that have joined since."""
        self.spending.slots = max(1, resources.slots_on(self.nodes.usable()))
        return replace(resources, slots=self.spending.slots)

    def _check_nodes(self) -> None:
        """Every node before anything is read or trained, so that what is missing ends the run in seconds."""
        with self._phase("checking nodes"):
            check_cluster(self.inputs, self.place, self.nodes, self.display)

    @contextlib.contextmanager
    def _phase(self, name: str, gpus: float = 0.0) -> Iterator[None]:
        self.display.phase(name)
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            self.engine.phase(name, seconds, gpus * seconds)
            self.place.files.send_below(self.layout.root)

    def _book(self, phase: str, gpu_seconds: float) -> None:
        if gpu_seconds:
            self.engine.phase(phase, 0.0, gpu_seconds)

    def _fill_cache(self) -> None:
        """Decodes the images at the size that the first trials need; other sizes follow on the worker that needs them."""
        space = self.inputs.space
        first = space.start[0] if space.start else {}
        sizes = self.inputs.stored_px_by_size()
        image_px = int(first.get("image_px", min(sizes)))
        px = sizes[image_px]
        self.data = self.setup.training_data(
            self.inputs.dataset,
            px,
            lambda done, total: self.display.progress(done, total, f"decoding images to {px} px"),
        )
        self.record.unreadable(self.data.unreadable)

    def _audit(self) -> None:
        found = audit(self.inputs.dataset, scanner(self.config.data), thorough=False)
        self.record.audited(found, self.display.event)

    def _clock(self, resources: TrialResources, whole: TrialResources) -> Spending:
        return Spending(
            budget=self.config.budget,
            reserve_fraction=self.config.final.reserve_fraction,
            images_to_retrain=self.inputs.images_per_trial,
            gpus=resources.gpus,
            speedup=max(1.0, CORE_EFFICIENCY * whole.cpus / resources.cpus) if resources.gpus == 0 else 1.0,
            earlier_seconds=self.earlier_seconds,
            began=self.began,
            max_trainings=self.config.final.finalists * self.config.final.repeats,
            slots=resources.slots,
            images_to_judge=self._images_to_judge(resources),
        )

    def _images_to_judge(self, resources: TrialResources) -> int:
        dataset, final = self.inputs.dataset, self.config.final
        answered = max(0, len(dataset.template or ()) - SMALL_TEMPLATE)
        if self.config.address:
            answered //= resources.slots
        device = "cuda" if resources.gpus else "cpu"
        return num_judged(len(dataset.val), len(dataset.holdout or ()), answered, device, final.members, final.views)

    def _search(self, resources: TrialResources) -> Ending:
        spending = self.spending
        study = self.engine.study
        self.layout.trials.mkdir(exist_ok=True)  # by no worker: to them its absence says that the disk is gone
        watch = Watch(
            layout=self.layout,
            engine=self.engine,
            display=self.display,
            tensorboard=self.tensorboard,
            study_log=StudyLog(self.layout.study_log, self.inputs.space, self.config.name),
            checkpoints=CheckpointKeeper(self.layout, study, self.place.files),
            spending=spending,
            show_best=BestPictures(inputs=self.inputs, layout=self.layout, val=self.data.val, tensorboard=self.tensorboard),
        )
        ending = run_search(
            self.engine,
            MakeTrainingRunner(self._search_job(resources)),
            resources=resources,
            tune_dir=self.layout.tune,
            should_stop=lambda: spending.is_spent(study),
            is_late=lambda: spending.is_late(study),
            silence_seconds=60 * self.config.resources.silence_minutes,
            on_event=watch,
            nodes=self.nodes,
        )
        watch.finish(interrupted=ending is Ending.INTERRUPTED)
        return ending

    def _finals(self, resources: TrialResources, whole: TrialResources) -> None:
        """Trains the best again with fresh seeds, judges and exports the winner.

        Raises:
            NoUsableTrialError: there is nothing to train again.
        """
        self.layout.retrain.mkdir(exist_ok=True)  # as above
        fresh = FreshTrainings(
            inputs=self.inputs,
            layout=self.layout,
            study=self.engine.study,
            able=self._able(),
            display=self.display,
            setup=self.setup,
            spending=self.spending,
            book=self._book,
            nodes=self.nodes,
        )
        finals = Finals(fresh=fresh, phase=self._phase)
        final = finals.run(resources, whole)
        self.record.finals(final, self.data.unreadable)
        finals.tidy(final)
        retraining = self.record.retraining
        if retraining is not None:
            self.tensorboard.retrained(retraining)

    def _able(self) -> list[TrialState]:
        return able_trials(self.engine.study, self.layout.log)

    def _search_job(self, resources: TrialResources) -> SearchJob:
        return SearchJob(
            dataset=self.inputs.dataset,
            setup=replace(self.setup, gpus=resources.gpus),
            run_dir=str(self.layout.root.resolve()),
            stored_px=self.inputs.stored_px_by_size(),
            rungs=self.inputs.rungs,
            images_per_trial=self.inputs.images_per_trial,
            seed=self.config.seed,
            objective=self.config.search.objective,
        )
