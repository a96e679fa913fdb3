"""The cluster's README names every file beside it, everything that is to be replaced, and only commands that there are."""

import re
import shlex
from pathlib import Path

import hpsearch
from hpsearch.run import parser

FOLDER = Path(__file__).parents[1] / "cluster"
TEXT = (FOLDER / "README.md").read_text()
FILES = [file for file in FOLDER.rglob("*") if file.is_file() and file.name not in ("README.md", "Dockerfile.dockerignore")]


def test_every_file_has_its_place_in_the_readme() -> None:
    assert len(FILES) >= 7
    assert [file.name for file in FILES if str(file.relative_to(FOLDER)) not in TEXT] == []


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([\w./]+)\)", TEXT)
    assert links
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_everything_to_replace_is_explained() -> None:
    for file in FILES:
        for line in file.read_text().splitlines():
            for key, word in re.findall(r"(\w*)[:=\s\[{-]*\b(\w*-?REPLACE\w*)", line):
                explained = word if word != "REPLACE" else key
                if not line.startswith("#") and explained:
                    assert f"`{explained}" in TEXT, f"{file.name}: {line}"


def test_submitted_command_is_one_that_hpsearch_takes() -> None:
    (line,) = re.findall(r"^ray job submit .*$", TEXT, re.MULTILINE)
    words = shlex.split(line)
    options = parser().parse_args(words[words.index("hpsearch.run") + 1 :])
    assert options.address == "auto"
    assert f"REGISTRY/hpsearch:{hpsearch.__version__}" in TEXT
