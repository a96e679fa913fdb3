"""A study of checkpointing trials as a program, to be killed and begun again.

`python -m tests.execute_study RUN [SECONDS [PATIENCE [TRIALS]]]`: what a rung takes, the factor of a worker's pauses on a lost
disk, and the number of trials.
"""

import functools
import time
from pathlib import Path

from hpsearch.cli import guarded, leave
from hpsearch.errors import EXIT_DONE, EXIT_INTERRUPTED
from hpsearch.execute.checkpoints import CheckpointKeeper
from hpsearch.execute.connect import connect
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.search_loop import run_search
from hpsearch.execute.session import Ending
from hpsearch.layout import RunLayout
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig
from tests.execute_runners import RUNGS, CheckpointingRunner


def main(root: Path, seconds_per_rung: float = 0.02, patience: float = 1.0, num_trials: float = 18) -> int:
    layout, began = RunLayout(root), time.monotonic()
    config = EngineConfig(rungs=RUNGS, sampler="random", num_trials=int(num_trials))
    engine = Engine.open(Space.from_dict({"x": {"low": 0.0, "high": 1.0}}), config, Journal(layout.journal))
    layout.trials.mkdir(exist_ok=True)
    checkpoints = CheckpointKeeper(layout, engine.study)
    with connect("", tune_dir=layout.tune):
        ending = run_search(
            engine,
            functools.partial(CheckpointingRunner, root, seconds_per_rung, patience),
            resources=TrialResources(cpus=1, gpus=0, slots=2, max_slots=2),
            tune_dir=layout.tune,
            is_late=lambda: time.monotonic() > began + 600,
            silence_seconds=300.0,
            on_event=lambda event: checkpoints.sweep(event.trial) if event.kind == "rung" else None,
        )
    assert ending in (Ending.FINISHED, Ending.INTERRUPTED)
    return EXIT_DONE if ending is Ending.FINISHED else EXIT_INTERRUPTED


if __name__ == "__main__":
    leave(lambda: guarded(lambda words: main(Path(words[0]), *map(float, words[1:]))))
