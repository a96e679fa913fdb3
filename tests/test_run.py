"""The whole job on real Ray with tiny images: what it leaves behind, and how it continues."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hpsearch.final.scorer import Scorer
from hpsearch.search.fold import fold
from hpsearch.search.journal import read_events
from tests.small_set import SPACE, make_competition


def hpsearch(command: str, *options: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", f"hpsearch.{command}", *map(str, options)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("job")
    make_competition(root / "data")
    (root / "space.yaml").write_text(SPACE)
    return root


def options(here: Path, *more: object) -> list[object]:
    return [
        "--data",
        here / "data",
        "--space",
        here / "space.yaml",
        "--out",
        here,
        "--name",
        "study",
        "--set",
        "search.num_rungs=2",
        *more,
    ]


@pytest.fixture(scope="module")
def study(here: Path) -> Path:
    said = hpsearch("run", *options(here, "--trials", 4))
    assert "tensorboard --logdir" in said.stdout
    return here / "study"


def test_every_file_is_there_and_true(study: Path) -> None:
    result = json.loads((study / "result.json").read_text())
    assert result["status"] == "done"
    assert sum(result["trials"].values()) == 4
    assert result["trials"]["completed"] >= 1
    for file in result["files"].values():
        assert (study / file).exists(), file
    predictions = pd.read_csv(study / "val_predictions.csv")
    from sklearn.metrics import roc_auc_score

    auc = roc_auc_score(predictions["target"], predictions["y_pred"])
    assert result["val"]["auc"] == pytest.approx(auc, abs=1e-4)
    assert result["val"]["num_images"] == len(predictions) == 24
    low, high = result["val"]["auc_ci95"]
    assert low <= auc <= high
    assert result["images_trained"] == fold(read_events(study / "journal.jsonl")).images_trained + 72
    trials = pd.read_csv(study / "trials.csv")
    assert trials.loc[0, "lr"] == pytest.approx(3e-3)
    assert trials.loc[0, "origin"] == "start"


def test_submission_has_the_templates_rows_and_predict_gives_it_again(study: Path, here: Path) -> None:
    template = here / "data" / "phase2" / "testset1_seen_nolabel.txt"
    again = here / "again.csv"
    hpsearch(
        "predict",
        "--model",
        study / "best",
        "--template",
        template,
        "--images",
        template.with_name("testset1_seen"),
        "--out",
        again,
    )
    pd.testing.assert_frame_equal(pd.read_csv(again), pd.read_csv(study / "submission.csv"), rtol=0, atol=1e-6)
    assert pd.read_csv(again)["img_name"].tolist() == template.read_text().split()[1:]


def test_the_export_scores_the_validation_images_as_the_record_says(study: Path, here: Path) -> None:
    predictions = pd.read_csv(study / "val_predictions.csv")
    paths = [str(here / "data" / "phase1" / "valset" / name) for name in predictions["img_name"]]
    scorer = Scorer.load(study / "best", "cpu")
    probabilities_n, unreadable = scorer.probabilities(paths)
    assert not unreadable
    # Training evaluates in bf16 on processors that have it.
    np.testing.assert_allclose(probabilities_n, predictions["y_pred"], atol=0.02)
    assert scorer.score(paths[0]) == pytest.approx(probabilities_n[0], abs=1e-4)


def test_the_export_comes_with_onnx_a_card_and_pictures_of_its_mistakes(study: Path) -> None:
    assert sorted(file.name for file in (study / "best").iterdir()) == [
        "README.md",
        "model.json",
        "model.onnx",
        "model.safetensors",
    ]
    card = (study / "best" / "README.md").read_text()
    assert "onnxruntime's answers on 24 of its validation images are torch's within" in card
    pictures = sorted(file.name for file in (study / "mistakes").glob("*.jpg"))
    assert len(pictures) == 48
    page = (study / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 48


@pytest.mark.slow
def test_the_model_can_be_trained_again_without_a_search(study: Path, here: Path) -> None:
    words = ["--retrain", study / "best" / "model.json", "--data", here / "data", "--out", here, "--name", "again"]
    said = hpsearch("run", *words)
    assert "retrained on the training images" in said.stdout
    first, again = (json.loads((here / name / "best" / "model.json").read_text()) for name in ("study", "again"))
    assert {**again["params"], "images_per_trial": 72} == {**first["params"], "images_per_trial": 72}
    assert again["images_trained"] == first["images_trained"]
    result = json.loads((here / "again" / "result.json").read_text())
    assert result["status"] == "done"
    assert result["val"]["num_images"] == 24
    assert (here / "again" / "submission.csv").is_file()
    assert len((here / "again" / "report.html").read_text()) > 1_000_000
    refused = hpsearch("run", *words, "--trials", 3, expect=2)
    assert "--trials has no meaning" in refused.stderr


def test_tensorboard_reads_every_trials_parameters_and_auc(study: Path) -> None:
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    for number in range(4):
        events = EventAccumulator(str(study / "trials" / str(number)))
        events.Reload()
        assert "auc" in " ".join(events.Tags()["scalars"])
        start = HParamsPluginData.FromString(events.PluginTagToContent(metadata.PLUGIN_NAME)[metadata.SESSION_START_INFO_TAG])
        assert "lr" in start.session_start_info.hparams
        assert ("se_reduction" in start.session_start_info.hparams) == (
            start.session_start_info.hparams["backbone"].string_value == "test_resnet"
        )


def test_replaying_a_trial_gives_its_journaled_values(study: Path) -> None:
    trial = fold(read_events(study / "journal.jsonl")).trials[0]
    shown = hpsearch("trial", "--from", study, "--trial", 0).stdout
    for images, value in trial.values.items():
        row = next(line.split() for line in shown.splitlines() if line.split()[:1] == [f"{images:,}"])
        assert float(row[2]) == pytest.approx(value, abs=1e-3)
        assert float(row[-1]) == pytest.approx(value, abs=1e-4)


def test_status_tells_of_a_finished_study(study: Path) -> None:
    shown = hpsearch("status", study).stdout
    assert "done" in shown
    assert "completed" in shown


def test_another_seed_under_the_same_name_is_refused_with_the_difference(study: Path, here: Path) -> None:
    refused = hpsearch("run", *options(here, "--trials", 4, "--seed", 5), expect=2)
    assert "seed: 0 in the study, 5 now" in refused.stderr


def test_a_greater_budget_continues_the_same_study(study: Path, here: Path) -> None:
    before = read_events(study / "journal.jsonl")
    hpsearch("run", *options(here, "--trials", 5))
    after = read_events(study / "journal.jsonl")
    assert after[: len(before)] == before
    assert len(fold(after).trials) == 5
    rungs = [(event["trial"], event["images"]) for event in after if event["event"] == "rung"]
    assert len(rungs) == len(set(rungs))


@pytest.mark.slow
def test_a_warm_start_tells_the_sampler_of_an_earlier_study(study: Path, here: Path) -> None:
    again = [option if option != "study" else "warm" for option in options(here, "--trials", 1)]
    said = hpsearch("run", *again, "--display", "plain", "--warm-start", study)
    earlier = [event for event in read_events(here / "warm" / "journal.jsonl") if event["event"] == "earlier"]
    tried = [event["trial"] for event in read_events(study / "journal.jsonl") if event["event"] == "suggested"]
    assert sorted(event["trial"] for event in earlier) == tried
    assert f"the sampler knows {len(tried)} trials of earlier studies" in said.stdout + said.stderr


def test_plan_says_what_would_happen_and_starts_nothing(here: Path) -> None:
    shown = hpsearch("run", "--data", here / "data", "--space", here / "space.yaml", "--out", here / "planned", "--plan").stdout
    assert "24 trials" in shown
    assert "test_efficientnet" in shown
    assert not (here / "planned").exists()


@pytest.mark.slow
def test_a_holdout_is_scored_once_and_a_shift_split_is_compared_on(here: Path) -> None:
    settings = ["judge.holdout=0.2", "search.objective=shift_auc", "search.num_rungs=2", "judge.shift=0.3"]
    make_competition(here / "larger", num_train=240, num_val=80)
    words = ["--data", here / "larger", "--space", here / "space.yaml", "--out", here, "--name", "apart", "--trials", 2]
    said = hpsearch("run", *words, "--set", *settings)
    result = json.loads((here / "apart" / "result.json").read_text())
    assert "holdout AUC" in said.stdout
    config = (here / "apart" / "config.yaml").read_text()
    assert result["holdout"]["num_images"] == pytest.approx(64, abs=16)
    assert f"holdout:\n    images: {result['holdout']['num_images']}" in config
    rungs = [event for event in read_events(here / "apart" / "journal.jsonl") if event["event"] == "rung"]
    assert all(event["value"] == event["metrics"]["shift_auc"] for event in rungs)
    assert any(event["value"] != event["metrics"]["auc"] for event in rungs)


@pytest.mark.slow
def test_finalists_are_trained_again_with_fresh_seeds_and_never_twice(here: Path) -> None:
    settings = ["search.num_rungs=1", "final.reserve_fraction=0.5"]
    words = ["--data", here / "data", "--space", here / "space.yaml", "--out", here, "--name", "finals", "--trials", 4]
    said = hpsearch("run", *words, "--set", *settings).stdout
    result = json.loads((here / "finals" / "result.json").read_text())
    found = result["confirmation"]
    assert len(found["finalists"]) == 2
    assert "fresh trainings of 2 finalists" in said
    rows = pd.read_csv(here / "finals" / "finalists.csv")
    assert len(rows) == found["num_trainings"] == sum(len(one["values"]) for one in found["finalists"]) <= 4
    assert rows["seed"].is_unique
    winner = next(one for one in found["finalists"] if one["trial"] == found["winner"])
    assert result["best"]["trial"] == found["winner"]
    assert winner["lower"] == max(one["lower"] for one in found["finalists"])
    assert found["optimism"] == pytest.approx(winner["first_score"] - np.mean(winner["values"]))
    assert result["images_trained"] == 4 * 72 + found["images"] == 4 * 72 + 72 * len(rows)
    assert next(iter(result["robustness"]["auc"])) == "none"
    assert len(result["robustness"]["auc"]) == 13
    description = json.loads((here / "finals" / "best" / "model.json").read_text())
    assert len(description["members"]) == len(result["best"].get("members", []))
    assert description["num_parameters"] == result["best"]["num_parameters"]
    exported = {file.parent.parent.name for file in (here / "finals" / "retrain").glob("*/export/model.json")}
    assert f"trial-{found['winner']}-seed-1" in exported
    assert "ensemble" not in exported  # it was published
    (here / "finals" / "result.json").unlink()
    again = hpsearch("run", *words, "--display", "plain", "--set", *settings)
    assert "again with fresh seed" not in again.stderr
    assert json.loads((here / "finals" / "result.json").read_text())["confirmation"] == found


def test_the_search_begins_with_an_audit_and_the_model_is_used_with_the_views_of_its_description(study: Path) -> None:
    result = json.loads((study / "result.json").read_text())
    assert "labelled images looked at" in (study / "audit.html").read_text()
    assert json.loads((study / "best" / "model.json").read_text())["views"] == result["views"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", 1, "--set", "resources.cpus_per_trial=999"], "a trial asks for 999 CPU and 0 GPU, and no node"),
        (["--gpu-hours", 1, "--set", "resources.gpus_per_trial=0"], "--gpu-hours 1 is the only limit, and trials get no GPU"),
    ],
)
def test_what_the_cluster_cannot_give_is_refused_before_images_are_read(here: Path, words: list[object], said: str) -> None:
    given = ["--data", here / "data", "--space", here / "space.yaml", "--out", here, "--name", "refused"]
    done = hpsearch("run", *given, "--display", "plain", *words, expect=4)
    assert said in done.stderr
    assert "reading images" not in done.stderr


@pytest.mark.slow
def test_training_on_all_images_keeps_the_scores_of_the_model_without_them(here: Path) -> None:
    words = ["--data", here / "data", "--space", here / "space.yaml", "--out", here, "--name", "all", "--trials", 2]
    hpsearch("run", *words, "--set", "search.num_rungs=1", "final.train_on=all", "final.views=flip")
    result = json.loads((here / "all" / "result.json").read_text())
    assert "trained on them too" in result["val"]["note"]
    description = json.loads((here / "all" / "best" / "model.json").read_text())
    assert description["views"] == "flip"
    assert description["images_trained"] == round(72 * 72 / 48)
    assert description["val"] == result["val"]
