from pathlib import Path

from hpsearch.config import DataConfig, RunConfig
from hpsearch.job.inputs import read_inputs
from hpsearch.job.packing import packing_job
from tests.small_set import SPACE, make_competition


def test_each_backbone_is_probed_at_its_largest_size_and_batch(tmp_path: Path) -> None:
    space = SPACE.replace("image_px: 32, batch_size: 8,", "").replace("lr:", "image_px: {choices: [32, 96, 64]}\nlr:", 1)
    (tmp_path / "space.yaml").write_text(space + "batch_size: {choices: [4, 16]}\n")
    config = RunConfig(data=DataConfig(source=str(make_competition(tmp_path / "data"))), space=str(tmp_path / "space.yaml"))
    job = packing_job(read_inputs(config, {}))
    assert [(one.backbone, one.image_px, one.batch_size) for one in job.settings] == [
        ("test_resnet", 96, 16),
        ("test_efficientnet", 96, 16),
    ]
    assert job.stored_px == (96, 96)
    assert {one.weights for one in job.settings} == {"none"}
