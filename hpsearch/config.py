"""Typed configuration of a run.

Every field has its unit and range below it. `identity` says what a study cannot change once it has begun; `overrides` applies
the options that change a configuration.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from hpsearch.errors import InputError

Objective = Literal["auc", "accuracy", "shift_auc", "worst_group_auc"]
TestViews = Literal["auto", "none", "flip", "crops", "flip_crops"]
TrainOn = Literal["train", "all"]
Sampler = Literal["tpe", "gp", "random"]
Clusters = Literal["statistics", "network"]
Precision = Literal["auto", "fp32", "bf16"]
Compile = Literal["auto", "always", "never"]
WeightsPolicy = Literal["in1k", "any"]
ParamValue = str | int | float
MAX_BUDGET = 10**9
"""Trials, minutes or GPU hours: more than a thousand years."""
Params = dict[str, ParamValue]
"""A trial's configuration: flat, dotted names as in the space file (`augment.jpeg.p`); absent parameters are absent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownParameter:
    """What a space file may say of one parameter."""

    kind: Literal["float", "int", "text"]
    """Type of its values; a float accepts integers."""
    low: float | None = None
    """Smallest allowed value; None: no bound, or text."""
    high: float | None = None
    """Largest allowed value; None: no bound, or text."""
    choices: tuple[str, ...] | None = None
    """Allowed texts; None: any text."""
    none_allowed: bool = False
    """Whether the word `none` may stand in place of a value."""
    multiple_of: int | None = None
    """Integers must be a multiple of this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which images, and where their decoded copies lie."""

    source: str = "sample"
    """Directory, CSV file or `s3://BUCKET/PREFIX`; `sample`: the sample set that hpsearch makes itself."""
    cache_dir: str = ""
    """Directory of the decoded images, one for each node; empty: `~/.cache/hpsearch`."""
    val_fraction: float = 0.2
    """Share of the images (whole groups) that validate, where the data names no split; in (0, 0.5]."""
    max_unreadable_fraction: float = 0.01
    """Share of unreadable images that a run still accepts; in [0, 1]."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        _in_range("data.val_fraction", self.val_fraction, 0.01, 0.5)
        _in_range("data.max_unreadable_fraction", self.max_unreadable_fraction, 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """How trials are proposed, compared and promoted."""

    objective: Objective = "auc"
    """What rungs compare, larger is better, on the validation images; `shift_auc`: on kinds of images not trained on."""
    sampler: Sampler = "gp"
    """Which sampler proposes new trials."""
    eta: float = 3.0
    """The best ⌊n/η⌋ of the n trials at a rung are promoted; > 1."""
    num_rungs: int = 3
    """Rungs between the first and the full budget, both included; 1: no early stopping."""
    first_rung_images: int | None = None
    """Images of the first rung; None: the full budget / η^(num_rungs − 1)."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        _in_range("search.eta", self.eta, 1.1, 100)
        _in_range("search.num_rungs", self.num_rungs, 1, 20)
        _at_least("search.first_rung_images", self.first_rung_images, 1)

    def rungs(self, images_per_trial: int) -> tuple[int, ...]:
        """Images at each rung, ascending, the last one `images_per_trial`."""
        rungs = [images_per_trial]
        first = self.first_rung_images or 1
        while len(rungs) < self.num_rungs and rungs[0] / self.eta >= first:
            rungs.insert(0, max(1, round(rungs[0] / self.eta)))
        if self.first_rung_images is not None and rungs[0] > first:
            rungs.insert(0, first)
        return tuple(sorted(set(rungs)))


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeConfig:
    """Which images are kept apart so that scores can be believed."""

    holdout: float = 0.0
    """Share of the labelled images (whole groups or clusters) that only the one score at the end sees; in [0, 0.5]."""
    clusters: Clusters = "statistics"
    """What tells images apart where groups do not: `statistics` of their pixels, or features of a small ImageNet `network`."""
    shift: float = 0.2
    """Share of the training images (whole clusters) that `search.objective=shift_auc` compares trials on; in [0.02, 0.5]."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        _in_range("judge.holdout", self.holdout, 0, 0.5)
        _in_range("judge.shift", self.shift, 0.02, 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetConfig:
    """How much a run may use; cumulative over restarts, the retraining included."""

    trials: int | None = None
    """Trials to start at most; None: as many as the time allows."""
    minutes: float | None = None
    """Wall minutes of the whole command; None: no limit."""
    gpu_hours: float | None = None
    """GPU share × wall time of the trials and the retraining; None: no limit."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        for name in ("trials", "minutes", "gpu_hours"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= MAX_BUDGET:
                rule = f"it must be above 0 and at most {MAX_BUDGET:,}"
                raise InputError(f"budget.{name} is {shortened(str(value))}; {rule}. Leave it out for no limit.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourcesConfig:
    """What one trial gets of a machine."""

    gpus_per_trial: float | Literal["auto"] | None = None
    """GPUs of one trial, a fraction lets several share one; `auto`: as many share one as fit and are faster together, which
    is measured; None: 1 where the cluster has a GPU, else 0."""
    cpus_per_trial: float | None = None
    """CPU cores of one trial; None: the cores shared out over the GPUs' trials, without a GPU 1."""
    max_slots: int | None = None
    """Trials that run at the same time at most; None: as many as the resources hold."""
    autoscale: bool = False
    """Whether to ask the autoscaler for nodes until `max_slots` trials run at the same time; needs all three above."""
    silence_minutes: float = 60.0
    """A trial that gives no sign of life for so long, neither images nor a rung, is taken for hanging and done again;
    scoring all validation images once must be quicker than that."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        _in_range("resources.silence_minutes", self.silence_minutes, 0.1, 100_000)
        _at_least("resources.max_slots", self.max_slots, 1)
        _at_least("resources.cpus_per_trial", self.cpus_per_trial, 0.01)
        _at_least("resources.gpus_per_trial", None if self.gpus_per_trial == "auto" else self.gpus_per_trial, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """How a trial computes; none of it is searched."""

    precision: Precision = "auto"
    """Autocast type; `auto`: bf16 on devices with instructions for it, else fp32."""
    compile: Compile = "auto"
    """Whether networks are trained through torch.compile; `auto`: on a GPU, where enough is trained to repay the compiling."""
    weights_policy: WeightsPolicy = "in1k"
    """Start weights that a space may name; `in1k`: only those that saw ImageNet-1k and nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalConfig:
    """What happens after the search."""

    reserve_fraction: float = 0.35
    """Share of the budget that the search leaves to confirming and retraining, as far as these can use it; in [0, 0.9]."""
    finalists: int = 5
    """The best trials that are trained again with fresh seeds, as many as the reserve allows; 1: only the best."""
    repeats: int = 3
    """Fresh seeds of one finalist at most."""
    members: int = 5
    """Fresh trainings at most whose answers the exported model averages, as one network within the limit of parameters, where
    that helps on validation images; 1: never, as where `train_on` is `all`."""
    views: TestViews = "auto"
    """Views of an image that the final model averages; `auto`: chosen on validation images."""
    train_on: TrainOn = "train"
    """`all`: the exported model is also trained on validation images and the holdout; its scores are then the winner's."""
    retrain_workers: int = 1
    """Workers that train together where `train_on` is `all`, at most, a GPU each, or all cores of a node; from 1."""

    def __post_init__(self) -> None:
        """Checks ranges."""
        _in_range("final.retrain_workers", self.retrain_workers, 1, 1024)
        _in_range("final.reserve_fraction", self.reserve_fraction, 0, 0.9)
        _in_range("final.finalists", self.finalists, 1, 100)
        _in_range("final.repeats", self.repeats, 1, 100)
        _in_range("final.members", self.members, 1, 100)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """One call of `python -m hpsearch.run`, resolved."""

    data: DataConfig = field(default_factory=DataConfig)
    """Which images."""
    space: str = ""
    """Path of the space file."""
    name: str = ""
    """Name of the run directory below `out`."""
    out: str = "runs"
    """Parent of run directories."""
    address: str = ""
    """Ray cluster to use; empty: a Ray of its own inside this machine."""
    seed: int = 0
    """Seed of sampler, splits and training."""
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    """Which images are kept apart."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """How much the run may use."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """How trials are proposed, compared and promoted."""
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    """What one trial gets of a machine."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How a trial computes."""
    final: FinalConfig = field(default_factory=FinalConfig)
    """What happens after the search."""
    plugins: tuple[str, ...] = ()
    """Python modules that register backbones or augmentations, imported on every node."""
    warm_start: tuple[str, ...] = ()
    """Run directories of earlier studies, whose trials the sampler is told of."""

    def __post_init__(self) -> None:
        """Checks seed and name."""
        _in_range("seed", self.seed, 0, 2**63 - 1)
        if self.name in (".", "..") or "/" in self.name:
            raise InputError(f"name is {self.name!r}; it names one directory, without a slash. Say with --out where it lies.")


def config_from(tree: Any) -> RunConfig:
    """The configuration that `dataclasses.asdict` gave as `tree`; what is no mapping and unknown keys are a TypeError."""
    if not isinstance(tree, dict):
        raise TypeError(f"a configuration is a mapping, not {type(tree).__name__}")
    hints = typing.get_type_hints(RunConfig)
    values: dict[str, Any] = {}
    for name, value in tree.items():
        section = hints.get(name)
        values[name] = section(**value) if dataclasses.is_dataclass(section) and isinstance(section, type) else value
    lists = {name: tuple(values.get(name, ())) for name in ("plugins", "warm_start")}
    return RunConfig(**{**values, **lists})


OPERATIONAL = frozenset(
    {
        *("name", "out", "address", "budget", "resources", "train", "final", "warm_start"),
        *("space", "data.source", "data.cache_dir", "data.max_unreadable_fraction"),
    }
)
"""Keys that may differ when a study continues; everything else identifies it, with the content of data and space."""


def identity(config: RunConfig) -> dict[str, Any]:
    """What a study cannot change once it has begun, as a flat mapping of dotted keys."""
    return {key: value for key, value in flatten(dataclasses.asdict(config)).items() if not _operational(key)}


def _operational(key: str) -> bool:
    return key in OPERATIONAL or key.split(".")[0] in OPERATIONAL


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one mapping of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


SHORT_WORD = 3
"""Letters of a word up to which half of it may differ from what is suggested for it."""


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """The end of a sentence: `; did you mean 'x'?` with the known word nearest to `word`, else a full stop."""
    cutoff = 0.5 if len(word) <= SHORT_WORD else 0.6  # of two letters one may be wrong, but 'three' is not meant by 'nowhere'
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {matches[0]!r}?" if matches else "."


def shortened(text: str, most: int = 80) -> str:
    """`text` for a message, its middle left out where it is longer than `most`."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"


def _at_least(name: str, value: float | None, low: float) -> None:
    if value is not None and not low <= value < math.inf:
        raise InputError(
            f"{name} is {shortened(str(value))}; it must be at least {low}" + " and finite" * (value == math.inf) + "."
        )


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} is {shortened(str(value))}; it must be between {low} and {high}.")
