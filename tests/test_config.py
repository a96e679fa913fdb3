import dataclasses
import re

import pytest

from hpsearch.config import RunConfig, SearchConfig, config_from, flatten, identity, nearest
from hpsearch.errors import InputError
from hpsearch.overrides import parse_value, with_overrides


def test_overrides_reach_nested_fields_with_their_types() -> None:
    config = with_overrides(
        RunConfig(), ["resources.gpus_per_trial=0.25", "budget.minutes=8", "plugins=[one, two]", "search.objective=accuracy"]
    )
    assert config.resources.gpus_per_trial == 0.25
    assert config.budget.minutes == 8.0
    assert config.plugins == ("one", "two")
    assert config.search.objective == "accuracy"


def test_text_that_looks_like_a_number_is_taken_in_quotes() -> None:
    assert with_overrides(RunConfig(), ['name="007"', "out=runs/2024", "data.cache_dir="]).name == "007"


def test_null_takes_an_optional_setting_back() -> None:
    assert with_overrides(RunConfig(), ["budget.trials=3", "budget.trials=null"]).budget.trials is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("search.eta", "expected KEY=VALUE"),
        ("serach.eta=3", "unknown key 'serach'; did you mean 'search'"),
        ("search.etta=3", "unknown key 'etta'; did you mean 'eta'"),
        ("search=3", "'search' is a section; name one of its keys: objective"),
        ("seed.x=3", "'seed' has no keys below it; write seed=VALUE"),
        ("search.objective=auk", "must be one of auc, accuracy, shift_auc, worst_group_auc; did you mean 'auc'"),
        ("search.num_rungs=2.5", "a whole number is needed, not 2.5"),
        ("search.eta=many", "a number is needed, not 'many'"),
        ("resources.autoscale=maybe", "true or false is needed, not 'maybe'"),
        ("resources.gpus_per_trial=some", "a number is needed, not 'some'"),
        ("resources.gpus_per_trial=-1", "resources.gpus_per_trial is -1.0; it must be at least 0"),
        ("resources.cpus_per_trial=0", "resources.cpus_per_trial is 0.0; it must be at least 0.01"),
        ("resources.max_slots=0", "resources.max_slots is 0; it must be at least 1"),
        ("search.first_rung_images=0", "search.first_rung_images is 0; it must be at least 1"),
        ("seed=-1", "seed is -1; it must be between 0 and 9223372036854775807"),
        ("name=../other", "name is '../other'; it names one directory, without a slash"),
        ("search.eta=1", "search.eta is 1.0; it must be between 1.1"),
        ("budget.trials=0", "budget.trials is 0; it must be above 0"),
        ("plugins=[a", "not valid YAML"),
        ("plugins=[1]", "text is needed, and YAML reads this as int. If it is text, quote it twice"),
        ("data.cache_dir=[1]", "YAML reads this as list"),
        ("name=007", "YAML reads this as int"),
        ("out=yes", "YAML reads this as bool"),
        ("name=2024-13-45", "'2024-13-45' looks like a date and is none; quote it if it is text"),
        ("search.eta=1:30", "YAML takes '1:30' for a number to base 60"),
        ("name=[a]\n---\n[b]", "not valid YAML: but found another document"),
        ("name={[a]: b}", "a name must be a single word"),
        ("name={a: b, a: c}", "'a' is there twice"),
        ('name="a\\0b"', "no name or path holds a character of code 0"),
        ("name=\0", "a character that no text file has (code 0)"),
        ("name=!!bool x", "'x' looks like true or false and is none"),
        ('name="\\U99999999"', "not valid YAML"),
        ("plugins=" + "[" * 1000, "nested deeper than 20 levels"),
        ("plugins=&a [*a, *a]", "nested deeper than 20 levels"),
        ("budget.minutes=" + "9" * 400, "is too large; at most 2^63 - 1 is read"),
        ("search.eta=" + "9" * 400, "is too large; at most 2^63 - 1 is read"),
        ("budget.minutes=0x" + "9" * 400, "is too large; at most 2^63 - 1 is read"),
        ("budget.trials=" + "9" * 5000, "a text of 5,000 characters; at most 4,096 are read"),
        ("budget.minutes=.inf", "budget.minutes is inf; it must be above 0 and at most 1,000,000,000"),
        ("resources.cpus_per_trial=.inf", "resources.cpus_per_trial is inf; it must be at least 0.01 and finite"),
        (f"seed={2**63 - 1}0", "is too large"),
    ],
)
def test_a_wrong_override_says_what_is_right(option: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        with_overrides(RunConfig(), [option])


def test_a_number_may_have_an_exponent_without_a_point() -> None:
    assert with_overrides(RunConfig(), ["budget.minutes=1e2"]).budget.minutes == 100
    assert parse_value("1e-4", "fixed.lr=1e-4") == 1e-4


def test_a_message_holds_the_ends_of_a_long_option() -> None:
    with pytest.raises(InputError) as caught:
        with_overrides(RunConfig(), ["budget.minutes=" + "9" * 100_000])
    assert str(caught.value).startswith("--set budget.minutes=9")
    assert len(str(caught.value)) < 300


def test_the_nearest_word_is_named_only_where_it_is_near() -> None:
    assert nearest("lt", ["lr", "epochs"]) == "; did you mean 'lr'?"
    assert nearest("quikstart", ["cpu", "quickstart"]) == "; did you mean 'quickstart'?"
    assert nearest("nowhere", ["three", "mine"]) == "."


def test_rungs_fall_by_eta_from_the_full_budget() -> None:
    assert SearchConfig(eta=3, num_rungs=3).rungs(27_000) == (3_000, 9_000, 27_000)
    assert SearchConfig(eta=3, num_rungs=1).rungs(27_000) == (27_000,)


def test_a_given_first_rung_is_the_first() -> None:
    assert SearchConfig(eta=3, num_rungs=9, first_rung_images=1).rungs(27) == (1, 3, 9, 27)
    assert SearchConfig(eta=4, num_rungs=9, first_rung_images=100).rungs(1000) == (100, 250, 1000)


def test_a_tiny_budget_has_fewer_rungs_rather_than_equal_ones() -> None:
    assert SearchConfig(eta=3, num_rungs=9).rungs(4) == (1, 4)
    assert SearchConfig(eta=3, num_rungs=9).rungs(2) == (2,)


def test_budget_and_resources_do_not_identify_a_study_but_data_and_seed_do() -> None:
    config = RunConfig()
    same = with_overrides(config, ["budget.trials=9", "resources.max_slots=1", "data.cache_dir=/elsewhere", "address=auto"])
    assert identity(same) == identity(config)
    for option in ("seed=1", "search.objective=accuracy", "search.eta=4", "data.val_fraction=0.3"):
        assert identity(with_overrides(config, [option])) != identity(config)


@pytest.mark.parametrize("tree", ["x", None, [1], {"budget": "x"}, {"seeds": 1}])
def test_what_is_no_configuration_is_a_type_error(tree: object) -> None:
    with pytest.raises(TypeError):
        config_from(tree)


def test_every_setting_can_be_set_by_its_dotted_name() -> None:
    for key, value in flatten(dataclasses.asdict(RunConfig())).items():
        text = "null" if value is None else "[]" if value == () else str(value)
        assert with_overrides(RunConfig(), [f"{key}={text}"]) == RunConfig()
