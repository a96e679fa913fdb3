"""An audit as a file: read again as it was, and whatever is wrong with it named."""

from pathlib import Path

import pytest

from hpsearch.errors import InputError
from hpsearch.judge.audit_file import read_audit, write_audit
from tests.report_studies import AUDIT


def test_an_audit_is_read_again_as_it_was(tmp_path: Path) -> None:
    assert read_audit(tmp_path / "audit.json") is None
    write_audit(tmp_path / "audit.json", AUDIT)
    assert read_audit(tmp_path / "audit.json") == AUDIT


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"findings": [], "shares": {"a": 1}}', '{"shares": {}, "findings": [{"x": 1}]}']
)
def test_a_file_that_holds_no_audit_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(InputError, match=r"audit\.json: holds no audit .* Delete it and audit\.html"):
        read_audit(tmp_path / "audit.json")
