"""Space files: what they mean, and every mistake with its line and remedy."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from hpsearch.config import KnownParameter, Params
from hpsearch.errors import InputError
from hpsearch.search.space import Space
from hpsearch.train.settings import known_parameters

FAMILIES = {"resnet18": "cnn", "resnet50": "cnn", "convnext_tiny": "convnext", "huge": "cnn"}


class Vocabulary:
    """A small world: three backbones and one that is too large."""

    parameters: Mapping[str, KnownParameter] = {
        **known_parameters(),
        "augment.jpeg.p": KnownParameter(kind="float", low=0, high=1),
        "augment.jpeg.quality_min": KnownParameter(kind="int", low=1, high=100),
        "augment.hflip.p": KnownParameter(kind="float", low=0, high=1),
    }

    def family(self, backbone: str) -> str:
        if backbone not in FAMILIES:
            raise InputError(f"unknown backbone {backbone!r}; did you mean 'resnet18'?")
        return FAMILIES[backbone]

    def num_parameters(self, params: Params) -> int:
        if params["backbone"] == "convnext_tiny" and params.get("se_reduction", "none") != "none":
            raise InputError("convnext_tiny takes no se_reduction")
        size = {"resnet18": 11_000_000, "resnet50": 24_000_000, "convnext_tiny": 28_000_000, "huge": 303_000_000}
        reduction = params.get("se_reduction", "none")
        return size[str(params["backbone"])] + (0 if reduction == "none" else 40_000_000 // int(reduction))


def load(tmp_path: Path, text: str, overrides: Mapping[str, Any] | None = None) -> Space:
    file = tmp_path / "space.yaml"
    file.write_text(dedent(text))
    return Space.load(file, Vocabulary(), overrides)


WHOLE = """\
    backbone: {choices: [resnet18, resnet50, convnext_tiny]}
    se_reduction: {choices: [none, 2, 16], when: {backbone: [resnet18, resnet50]}}
    lr:
      cnn:      {low: 1e-4, high: 2.0e-3, log: true}
      convnext: {low: 2.0e-5, high: 5.0e-4, log: true}
    image_px: {low: 64, high: 128}
    augment:
      jpeg:
        when: {backbone: resnet50}
        p: {low: 0, high: 0.7}
        quality_min: {low: 20, high: 90}
    fixed: {batch_size: 64, images_per_trial: 400_000, augment: {hflip: {p: 0.5}}}
    start:
      - {backbone: resnet18, se_reduction: none, lr: 5.0e-4}
      - {backbone: convnext_tiny}
    limits: {num_parameters: 200_000_000}
    """


def drawn(space: Space, num: int = 200) -> list[Params]:
    return [space.draw(np.random.default_rng(seed)) for seed in range(num)]


def test_a_whole_file_draws_only_configurations_that_it_allows(tmp_path: Path) -> None:
    space = load(tmp_path, WHOLE)
    for params in drawn(space):
        assert params["batch_size"] == 64
        assert params["augment.hflip.p"] == 0.5
        assert params["image_px"] in (64, 96, 128)
        is_convnext = params["backbone"] == "convnext_tiny"
        assert ("se_reduction" in params) != is_convnext
        low, high = (2e-5, 5e-4) if is_convnext else (1e-4, 2e-3)
        assert low <= float(params["lr"]) <= high
        assert ("augment.jpeg.p" in params) == ("augment.jpeg.quality_min" in params) == (params["backbone"] == "resnet50")
    assert space.start == ({"backbone": "resnet18", "se_reduction": "none", "lr": 5e-4}, {"backbone": "convnext_tiny"})
    assert space.limits == {"num_parameters": 200_000_000}


def test_without_limits_networks_may_have_200_million_parameters(tmp_path: Path) -> None:
    text = "backbone: {choices: [resnet18, huge]}\n"
    with pytest.raises(InputError, match=r"huge has 303,000,000 parameters; limits\.num_parameters allows 200,000,000"):
        load(tmp_path, text)
    more = load(tmp_path, text + "limits: {num_parameters: 400_000_000}")
    assert more.max_parameters == 400_000_000
    assert load(tmp_path, "backbone: {choices: [resnet18, resnet50]}").max_parameters == 200_000_000


def test_log_ranges_are_uniform_in_the_logarithm_and_steps_are_equally_likely() -> None:
    space = Space.from_dict({"lr": {"low": 1e-4, "high": 1.0, "log": True}, "n": {"low": 1, "high": 4}})
    params = drawn(space, 2000)
    assert np.mean([float(p["lr"]) < 1e-2 for p in params]) == pytest.approx(0.5, abs=0.04)
    assert np.bincount([int(p["n"]) for p in params], minlength=5)[1:] / 2000 == pytest.approx(0.25, abs=0.04)


def test_ranges_of_several_families_share_one_parameter_name(tmp_path: Path) -> None:
    space = load(tmp_path, WHOLE)
    assert [one.key for one in space.dimensions if one.name == "lr"] == ["lr[cnn]", "lr[convnext]"]
    params: Params = {**space.fixed, "backbone": "convnext_tiny", "lr": 1e-4, "image_px": 64}
    assert space.coordinates(params) == {"backbone": "convnext_tiny", "lr[convnext]": 1e-4, "image_px": 64}


def test_a_dimension_may_stand_before_what_it_depends_on(tmp_path: Path) -> None:
    text = "weight_decay: {low: 0, high: 0.1, when: {optimizer: [adamw]}}\noptimizer: {choices: [adamw, sgd]}\n"
    for params in drawn(load(tmp_path, text + "fixed: {backbone: resnet18}")):
        assert ("weight_decay" in params) == (params["optimizer"] == "adamw")


def test_conditions_may_depend_on_conditional_parameters() -> None:
    space = Space.from_dict(
        {
            "a": {"choices": ["on", "off"]},
            "b": {"choices": ["on", "off"], "when": {"a": ["on"]}},
            "c": {"low": 0.0, "high": 1.0, "when": {"b": "on"}},
        }
    )
    for params in drawn(space):
        assert ("b" in params) == (params["a"] == "on")
        assert ("c" in params) == (params.get("b") == "on")


def test_fingerprints_agree_for_equal_content_only(tmp_path: Path) -> None:
    first = load(tmp_path, WHOLE)
    assert first.fingerprint == load(tmp_path, "# a comment\n" + dedent(WHOLE)).fingerprint
    assert first.fingerprint != load(tmp_path, WHOLE.replace("0.7", "0.6")).fingerprint


def test_values_of_a_parameter_are_its_choices_bounds_or_fixed_value(tmp_path: Path) -> None:
    space = load(tmp_path, WHOLE)
    assert space.values_of("backbone") == ("resnet18", "resnet50", "convnext_tiny")
    assert space.values_of("image_px") == (64, 128)
    assert space.values_of("batch_size") == (64,)
    assert space.values_of("optimizer") == ()


def test_an_override_fixes_a_searched_parameter_and_start_points_follow(tmp_path: Path) -> None:
    space = load(tmp_path, WHOLE, {"backbone": "convnext_tiny", "image_px": 32})
    assert space.fixed["backbone"] == "convnext_tiny"
    assert {one.key for one in space.dimensions} == {"lr[convnext]"}
    assert space.start == ({"lr": 5e-4}, {})
    assert any("without its se_reduction" in note for note in space.notes)


def test_an_override_replaces_a_fixed_value(tmp_path: Path) -> None:
    space = load(tmp_path, WHOLE, {"batch_size": 8, "augment.hflip.p": 0.25})
    assert (space.fixed["batch_size"], space.fixed["augment.hflip.p"]) == (8, 0.25)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"image_pix": 64}, r"--set fixed\.image_pix=64: unknown parameter 'image_pix'; did you mean 'image_px'\?"),
        ({"image_px": 50}, r"--set fixed\.image_px=50: image_px is 50; it must be a multiple of 32, such as 32 or 64\."),
        ({"backbone": "resnet19"}, r"--set fixed\.backbone=resnet19: unknown backbone 'resnet19'"),
        ({"backbone": "huge"}, r"backbone huge has 303,000,000 parameters; limits\.num_parameters allows 200,000,000"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(tmp_path, WHOLE, overrides)


LAUGHS = "a: &a [x]\n" + "".join(f"{name}: &{name} [{f'*{chr(ord(name) - 1)}, ' * 9}]\n" for name in "bcdefghij")
"""Nine times nine times nine … values."""
BACKBONES = "backbone: {choices: [resnet18, convnext_tiny]}\n"
MISTAKES = {
    "unknown key": ("lrr: {low: 1, high: 2}", r"space\.yaml:1: unknown parameter 'lrr'; did you mean 'lr'\?"),
    "unknown section key": (
        "augmnt: {jpeg: {p: {low: 0, high: 1}}}",
        r":1: unknown parameter 'augmnt'; did you mean 'augment'\?",
    ),
    "unknown augmentation": (
        "augment:\n  jpg: {p: {low: 0, high: 1}}",
        r":2: unknown .*'augment\.jpg'; did you mean 'augment\.jpeg'",
    ),
    "unknown reserved key": ("fixd: {image_px: 64}", r":1: unknown parameter 'fixd'; did you mean 'fixed'\?"),
    "unknown fixed": ("fixed:\n  bach_size: 4", r":2: unknown parameter 'bach_size'; did you mean 'batch_size'\?"),
    "unknown range key": ("lr:\n  low: 1e-4\n  hgih: 1e-3\n  high: 1e-2", r":3: lr: unknown key 'hgih'; did you mean 'high'\?"),
    "empty range": ("lr: {low: 2e-3, high: 1e-4}", r":1: lr: empty range, low 0\.002 is not below high 0\.0001\. Swap"),
    "one value": ("lr: {low: 1e-3, high: 1e-3}", r":1: lr: empty range.*Write a single value under `fixed:`"),
    "log from 0": ("weight_decay: {low: 0, high: 0.1, log: true}", r":1: weight_decay: log is true and low is 0; .*above 0"),
    "log not a flag": ("lr: {low: 1e-4, high: 1e-2, log: 1}", r"lr: log is 1; it must be true or false"),
    "no upper bound": ("lr: {low: 1e-4}", r":1: lr has no high; a range needs both"),
    "bound of a wrong type": ("lr: {low: small, high: 1}", r"lr\.low is 'small'; it must be a number"),
    "bound outside": ("lr: {low: 1e-4, high: 100}", r"lr\.high is 100; it must be a number from 1e-07 to 10"),
    "no choices": ("optimizer: {choices: []}", r"optimizer has no choices"),
    "choice twice": ("optimizer: {choices: [sgd, sgd]}", r"optimizer has the choice 'sgd' twice"),
    "wrong choice": ("optimizer: {choices: [adamw, adan]}", r"optimizer is 'adan'; .*; did you mean 'adam'\?"),
    "choices and range": ("lr: {choices: [1e-4], low: 1e-4}", r"lr has choices and low; give either"),
    "range of a text": ("optimizer: {low: 0, high: 1}", r"optimizer is a text and has no range"),
    "bare value": ("lr: 0.01", r":1: lr is 0\.01; a searched parameter is .* under `fixed:`"),
    "pixels": ("image_px: {choices: [64, 100]}", r"image_px is 100; it must be a multiple of 32, such as 96 or 128"),
    "pixel range": ("image_px: {low: 64, high: 100}", r"image_px\.high is 100; it must be a multiple of 32"),
    "step": ("image_px: {low: 64, high: 128, step: 20}", r"image_px: step is 20; it must be a positive multiple of 32"),
    "step beyond": ("batch_size: {low: 8, high: 30, step: 8}", r"batch_size: high 30 is not low 8 plus a multiple of 8"),
    "full training": ("epochs: {low: 1, high: 10}", r":1: epochs: trials are compared at .* one value under `fixed:`"),
    "fixed of a wrong type": ("fixed: {batch_size: many}", r"batch_size is 'many'; it must be an integer from 2 to 8192"),
    "fixed yes": ("fixed: {balance: yes}", r"balance is True; it must be a number from 0 to 1"),
    "fixed list": ("fixed: [1, 2]", r"`fixed` must hold names and values"),
    "null": ("fixed: {ema_decay: }", r"ema_decay has no value; write `none`"),
    "not a number": ("fixed: {lr: .nan}", r"lr is nan; it must be finite"),
    "fixed and searched": (
        "lr: {low: 1e-4, high: 1e-3}\nfixed:\n  lr: 1e-3",
        r":3: lr is fixed here and searched at .*space\.yaml:1",
    ),
    "duplicate key": ("lr: {low: 1e-4, high: 1e-3}\nlr: {low: 1e-4, high: 1e-2}", r":2: 'lr' is there twice, first at .*:1"),
    "not YAML": ("lr: {low: 1", r"space\.yaml:\d+: not valid YAML"),
    "code": ("lr: !!python/object/apply:os.system [ls]", r"not valid YAML|a searched parameter is"),
    "400 digits": ("lr: {low: 1.0e-4, high: " + "9" * 400 + "}", r":1: the whole number 9+ … 9+ is too large"),
    "400 digits of an integer": ("batch_size:\n  low: 2\n  high: " + "9" * 400, r":3: the whole number 9+ … 9+ is too large"),
    "5,000 digits": ("batch_size: {low: 2, high: " + "9" * 5000 + "}", r":1: a text of 5,000 characters; at most 4,096"),
    "hexadecimal digits": ("limits: {num_parameters: 0x" + "9" * 4000 + "}", r":1: the whole number 0x9+ … 9+ is too large"),
    "exponent": ("fixed: {lr: 1e" + "9" * 400 + "}", r":1: lr is inf; it must be finite"),
    "deep list": ("fixed: " + "[" * 1000, r":1: nested deeper than 20 levels"),
    "deep sections": ("\n".join(" " * depth + "a:" for depth in range(200)), r":21: nested deeper than 20 levels"),
    "alias of itself": ("fixed: &a {lr: *a}", r":1: nested deeper than 20 levels"),
    "aliases of aliases": (LAUGHS, r":1: more than 10,000 values, aliases counted"),
    "base 60": ("fixed: {batch_size: 1:30}", r":1: YAML takes '1:30' for a number to base 60"),
    "no such date": ("fixed:\n  lr: 2024-13-45", r":2: '2024-13-45' looks like a date and is none"),
    "date": ("fixed:\n  lr: 2024-01-01", r":2: lr is datetime\.date\(2024, 1, 1\); it must be a number"),
    "binary": ("fixed: {lr: !!binary aGk=}", r":1: lr is b'hi'; it must be a number"),
    "wrong tag": ("fixed: {lr: !!int x}", r":1: 'x' looks like a whole number and is none"),
    "no such character": ('fixed: {lr: "\\U99999999"}', r":1: not valid YAML"),
    "null byte": ("fixed: {}\n\nx: \0", r":3: a character that no text file has \(code 0\)"),
    "tab": ("fixed:\n\tlr: 1", r":2: not valid YAML: found character '\\t'"),
    "many bytes": ("#" * 250_001, r"space\.yaml: larger than 250,000 bytes, which no space file needs"),
    "empty": ("", r"the space file is empty"),
    "a list": ("- lr", r":1: a space must hold names and ranges"),
    "nothing": ("start: []", r"nothing to search"),
    "unknown backbone": (
        "backbone:\n  choices:\n    - resnet18\n    - resnet19",
        r":4: unknown backbone 'resnet19'; did you mean",
    ),
    "family without a range": (
        BACKBONES + "lr:\n  cnn: {low: 1e-4, high: 1e-3}",
        r":2: lr has no range for the family 'convnext' of the backbone 'convnext_tiny'",
    ),
    "families without backbones": ("lr: {cnn: {low: 1e-4, high: 1e-3}}", r":1: lr needs \{low"),
    "wrong family": (BACKBONES + "lr: {cnn: 3, convnext: {low: 1e-4, high: 1e-3}}", r":2: lr\.cnn is 3; give it"),
    "when unknown": (
        "lr: {low: 1e-4, high: 1e-3, when: {optimiser: [sgd]}}",
        r":1: unknown .*'optimiser'; did you mean 'optimizer'",
    ),
    "when absent": (
        "lr: {low: 1e-4, high: 1e-3, when: {optimizer: [sgd]}}",
        r"lr: `when` asks for 'optimizer', which this space neither",
    ),
    "when never": (
        BACKBONES + "lr: {low: 1e-4, high: 1e-3, when: {backbone: [resnet50]}}",
        r"lr: backbone is never 'resnet50' here",
    ),
    "when of a range": (
        "lr: {low: 1e-4, high: 1e-3}\nbalance: {low: 0, high: 1, when: {lr: [1e-3]}}",
        r":2: balance: `when` asks for lr, which is a range",
    ),
    "when empty": ("lr: {low: 1e-4, high: 1e-3, when: sgd}", r"lr: `when` must name parameters and their values"),
    "circle": (
        "optimizer: {choices: [sgd], when: {se_reduction: [2]}}\nse_reduction: {choices: [2], when: {optimizer: [sgd]}}",
        r"`when` goes in a circle among optimizer, se_reduction",
    ),
    "start not a list": ("lr: {low: 1e-4, high: 1e-3}\nstart: {lr: 1e-3}", r":2: `start` must be a list"),
    "start unknown": ("lr: {low: 1e-4, high: 1e-3}\nstart:\n  - {lt: 1e-3}", r":3: unknown parameter 'lt'; did you mean 'lr'"),
    "start not searched": (
        "lr: {low: 1e-4, high: 1e-3}\nstart:\n  - {balance: 1}",
        r":3: start point 0: 'balance' is not searched",
    ),
    "start fixed": (
        "lr: {low: 1e-4, high: 1e-3}\nfixed: {balance: 0}\nstart: [{balance: 1}]",
        r":3: start point 0: balance is fixed to 0\.0 in this space",
    ),
    "start outside": (
        "lr: {low: 1e-4, high: 1e-3}\nstart:\n  - {lr: 1e-3}\n  - {lr: 1}",
        r":4: start point 1: lr is 1\.0; here it is 0\.0001 to",
    ),
    "start outside its family": (
        BACKBONES
        + "lr:\n  cnn: {low: 1e-4, high: 1e-3}\n  convnext: {low: 1e-5, high: 1e-4}\n"
        + "start: [{backbone: convnext_tiny, lr: 1e-3}]",
        r":5: start point 0: lr is 0\.001; here it is 1e-05 to 0\.0001",
    ),
    "start condition": (
        BACKBONES
        + "se_reduction: {choices: [2], when: {backbone: resnet18}}\nstart: [{backbone: convnext_tiny, se_reduction: 2}]",
        r":3: start point 0: se_reduction is only there when backbone is resnet18; here backbone is convnext_tiny\. Leave",
    ),
    "start undecided": (
        BACKBONES + "se_reduction: {choices: [2], when: {backbone: resnet18}}\nstart: [{se_reduction: 2}]",
        r":3: start point 0: se_reduction depends on backbone, which the point does not give",
    ),
    "limits unknown": (
        "fixed: {lr: 1e-3}\nlimits: {parameters: 3}",
        r":2: limits: unknown key 'parameters'; did you mean 'num_parameters'",
    ),
    "limits of a wrong type": (
        "fixed: {lr: 1e-3}\nlimits: {num_parameters: 2e8}",
        r"limits\.num_parameters is 200000000\.0; .*positive integer",
    ),
    "over the limit": (
        "backbone: {choices: [resnet18, huge]}\nlimits: {num_parameters: 200_000_000}",
        r":1: backbone huge has 303,000,000 parameters; limits\.num_parameters allows 200,000,000\. Remove",
    ),
    "over the limit on its own line": (
        "backbone:\n  choices:\n    - resnet18\n    - huge\nlimits: {num_parameters: 200_000_000}",
        r":4: backbone huge has 303,000,000 parameters",
    ),
    "over the limit with any SE": (
        "backbone: {choices: [resnet50]}\nse_reduction: {choices: [2, 4, 8, 40]}\nlimits: {num_parameters: 30_000_000}",
        r"se_reduction 2 has 44,000,000(.|\n)*se_reduction 4 has 34,000,000",
    ),
    "over the limit with SE": (
        "backbone: {choices: [resnet50]}\nse_reduction: {choices: [none, 2, 16]}\nlimits: {num_parameters: 40_000_000}",
        r"backbone resnet50, se_reduction 2 has 44,000,000 parameters",
    ),
    "SE where there is none": (BACKBONES + "se_reduction: {choices: [none, 16]}", r":1: convnext_tiny takes no se_reduction"),
}


def test_a_space_file_in_another_encoding_is_named_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_bytes(b"lr: {low: 1, high: 2}\n# \xff\n")
    with pytest.raises(InputError, match=r"space\.yaml:2: not UTF-8 text \(invalid start byte\)"):
        Space.load(file, Vocabulary())


def test_a_byte_order_mark_and_any_end_of_a_line_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_bytes(b"\xef\xbb\xbflr:\r\n  low: 1.0e-4\r  high: 1\n")
    assert Space.load(file, Vocabulary()).values_of("lr") == (1e-4, 1.0)


def test_a_message_holds_the_ends_of_a_long_value(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("fixed: {lr: [" + "x, " * 9000 + "]}")
    with pytest.raises(InputError, match=r"space\.yaml:1: lr is \['x', .* … .*'x'\]; it must be") as caught:
        Space.load(file, Vocabulary())
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(tmp_path, text)


def test_several_mistakes_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":1: unknown(.|\n)*:2: lr: empty(.|\n)*:3: unknown"):
        load(tmp_path, "lrr: {low: 1, high: 2}\nlr: {low: 1, high: 0.5}\nfixed: {batchsize: 3}\n")


def test_at_most_ten_mistakes_are_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"… and 3 more") as caught:
        load(tmp_path, "\n".join(f"name{i}: {{low: 0, high: 1}}" for i in range(13)))
    assert len(str(caught.value).splitlines()) == 11


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot read this space file \(No such file"):
        Space.load(tmp_path / "nowhere.yaml", Vocabulary())


def test_a_range_for_a_family_that_no_backbone_has_is_said_and_not_used(tmp_path: Path) -> None:
    text = "fixed: {backbone: resnet18}\nlr:\n  cnn: {low: 1e-4, high: 1e-3}\n  convnext: {low: 1e-5, high: 1e-4}\n"
    space = load(tmp_path, text)
    assert [one.key for one in space.dimensions] == ["lr[cnn]"]
    assert "no backbone here is of the family convnext" in space.notes[0]


def test_plain_spaces_take_any_names_and_sections() -> None:
    space = Space.from_dict(
        {
            "alpha": {"low": 0.0, "high": 1.0},
            "layers": {"low": 1, "high": 3},
            "temperature": {"low": 1, "high": 2, "type": "float"},
            "net": {"width": {"choices": [16, 32]}, "when": {"layers": [2, 3]}},
            "fixed": {"epochs": 3},
        }
    )
    kinds = {one.name: one.kind for one in space.dimensions}
    assert kinds == {"alpha": "float", "layers": "int", "temperature": "float", "net.width": "categorical"}
    for params in drawn(space):
        assert params["epochs"] == 3
        assert ("net.width" in params) == (params["layers"] in (2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": {"low": 0.0}}, r"space: x has no high"),
        ({"x": {}}, r"space: x is empty"),
        ({"x": 3}, r"space: x is 3; a searched parameter is"),
        ({"x": {"low": 0.0, "high": 1.0}, "limits": {"num_parameters": 3}}, r"a space of plain names has no limits"),
        ({"x": {"low": 0.5, "high": 3.5, "type": "int"}}, r"low 0\.5 and high 3\.5 must be integers"),
    ],
)
def test_mistakes_in_plain_spaces_are_named(content: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Space.from_dict(content)
