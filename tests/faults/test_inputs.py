"""Space files, label files and options changed at random: a user sees a message with its place, never a traceback."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hpsearch.cli import SPACES
from hpsearch.config import RunConfig, shortened
from hpsearch.data.find import find_dataset
from hpsearch.errors import InputError
from hpsearch.overrides import with_overrides
from hpsearch.search.space import Space
from hpsearch.train.vocabulary import TrainVocabulary
from tests.faults.ledger import ledger
from tests.small_set import SPACE, make_competition

EXAMPLES = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIGNS = ["  ", "? ", "%YAML 2.0", "&a", "*a", "<<: *a", "!!python/object/apply:os.system ['true']", "\x00", "\ud7ff", "é"]
WORDS = ["low", "high", "choices", "when", "none", "true", "null", "log: true", "step: 0", "lr", "backbone", "augment", "fixed"]
PIECES = st.sampled_from([*"{}[]:,-'\"|\n\t", *SIGNS, *WORDS, "1e999", ".nan", "-1", "9" * 400, "[" * 400, "1:30"])
DIGITS = "9" * 400
LAUGHS = "a: &a [x]\n" + "".join(f"{name}: &{name} [{f'*{chr(ord(name) - 1)}, ' * 9}]\n" for name in "bcdefghij")
OPENED = 'img_name,target\n"a.jpg,1\n'


def examples(**cases: list[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What was once a traceback, or endless; tried beside the random ones."""

    def decorated(test: Callable[..., None]) -> Callable[..., None]:
        for name, texts in cases.items():
            for text in texts:
                test = example(**{name: text})(test)
        return test

    return decorated


def refusal(call: Callable[[], object]) -> str | None:
    """What a user reads where `call` refuses its input; None where it takes it. Any other error fails the test."""
    ledger.tried("a space file, label file or option changed at random")
    try:
        call()
    except InputError as error:
        return str(error)
    return None


@st.composite
def changed(draw: st.DrawFn, text: str) -> str:
    """`text` with up to four places replaced, doubled or left out."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        width = draw(st.integers(0, 30))
        piece = draw(PIECES | st.text(max_size=8) | st.just(text[at : at + 2 * width]))
        text = text[:at] + piece + text[at + width :]
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_competition(tmp_path_factory.mktemp("inputs"))


@EXAMPLES
@examples(
    text=[
        f"lr: {{low: 1.0e-4, high: {DIGITS}}}",
        f"batch_size: {{low: 2, high: {DIGITS}}}",
        f"batch_size: {{low: 2, high: {'9' * 5000}}}",
        f"batch_size: {{low: 2, high: 0x{'9' * 4000}}}",
        "fixed: " + "[" * 1000,
        "fixed: " + "{a: " * 1000,
        "fixed: &a {lr: *a}",
        LAUGHS,
        "fixed: {lr: 2024-13-45}",
        f"fixed: {{lr: 1{':30' * 900}.5}}",
        "fixed: {lr: !!int x}",
        "fixed: {lr: !!bool x}",
        "fixed: {lr: !!timestamp x}",
        'fixed: {lr: "\\U99999999"}',
        f"%YAML {'9' * 5000}.1\n---\na: 1",
    ]
)
@given(text=changed(SPACE) | changed((SPACES / "quickstart.yaml").read_text()))
def test_a_space_file_is_read_or_refused_with_its_line(folder: Path, text: str) -> None:
    file = folder / "space.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    said = refusal(lambda: Space.load(file, TrainVocabulary()))
    assert said is None or re.search(r"space\.yaml:\d+: ", said)


@EXAMPLES
@examples(text=[OPENED, OPENED + "b.jpg,0\n" * 20_000, "img_name,target\na\0.jpg,1\n", f"img_name,target\n{'a' * 200_000},1\n"])
@given(text=changed("img_name,target\n" + "".join(f"{number:032x}.jpg,{number % 2}\n" for number in range(48))))
def test_a_label_file_is_read_or_refused_with_its_line(folder: Path, text: str) -> None:
    labels = folder / "phase1" / "trainset_label.txt"
    labels.write_text(text, encoding="utf-8", errors="surrogatepass")
    said = refusal(lambda: find_dataset(folder, val_fraction=0.2, seed=0))
    assert said is None or re.search(r"trainset_label\.txt(, line \d+: |: .* header)", said)


@EXAMPLES
@examples(
    option=[
        f"budget.minutes={DIGITS}",
        f"search.eta={DIGITS}",
        f"budget.minutes=0x{DIGITS}",
        f"seed={'9' * 5000}",
        f"plugins={'[' * 1000}",
        "plugins=&a [*a, *a]",
        "seed=!!int x",
        'name="\\U99999999"',
    ]
)
@given(option=changed("search.eta=4") | changed("plugins=[one, two]") | changed("budget.minutes=8"))
def test_an_option_is_taken_or_refused_by_name(option: str) -> None:
    said = refusal(lambda: with_overrides(RunConfig(), [option]))
    assert said is None or option.partition("=")[0] in said or shortened(option) in said
