"""An audit as a file: read again as it was, and whatever is wrong with it named."""

import json
from pathlib import Path

import pytest

from hpsearch.errors import InputError
from hpsearch.judge.audit import audit
from hpsearch.judge.audit_file import is_current, read_audit, write_audit
from hpsearch.judge.scan import scan
from tests.judge_images import dataset_of, image_set
from tests.report_studies import AUDIT


def test_an_audit_is_read_again_as_it_was(tmp_path: Path) -> None:
    assert read_audit(tmp_path / "audit.json") is None
    write_audit(tmp_path / "audit.json", AUDIT)
    assert read_audit(tmp_path / "audit.json") == AUDIT


def test_an_audit_is_current_until_a_file_or_the_split_changes(tmp_path: Path) -> None:
    images = image_set(tmp_path / "images", "i", 48, seed=0)
    dataset = dataset_of(images.take(range(24)), images.take(range(24, 48)))
    file = tmp_path / "audit.json"
    assert not is_current(file, dataset)
    write_audit(file, audit(dataset, lambda paths: scan(paths, cache_dir=tmp_path, num_workers=1), thorough=False))
    assert is_current(file, dataset)
    assert not is_current(file, dataset_of(images.take(range(22)), images.take(range(22, 48))))
    replaced = Path(images.paths[30])
    replaced.write_bytes(replaced.read_bytes() + b"\0")
    assert not is_current(file, dataset)


def test_an_audit_of_an_earlier_version_is_not_current(tmp_path: Path) -> None:
    images = image_set(tmp_path / "images", "i", 4, seed=0)
    write_audit(tmp_path / "audit.json", AUDIT)
    content = json.loads((tmp_path / "audit.json").read_text())
    del content["state"]
    (tmp_path / "audit.json").write_text(json.dumps(content))
    assert not is_current(tmp_path / "audit.json", dataset_of(images.take(range(2)), images.take(range(2, 4))))


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"findings": [], "shares": {"a": 1}}', '{"shares": {}, "findings": [{"x": 1}]}']
)
def test_a_file_that_holds_no_audit_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(InputError, match=r"audit\.json: holds no audit .* Delete it and audit\.html"):
        read_audit(tmp_path / "audit.json")
