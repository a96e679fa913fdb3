"""Imports point from later rooms to earlier ones, and each engine underneath is known to one room only."""

import ast
from pathlib import Path

import hpsearch

PACKAGE = Path(hpsearch.__file__).parent
ROOMS = [
    {
        "errors",
        "json_text",
        "yaml_text",
        "config",
        "overrides",
        "layout",
        "metrics",
        "files",
        "object_store",
        "run_files",
        "cli",
    },
    *({room} for room in ("data", "model", "train", "judge", "search", "execute", "final", "report", "job")),
]
COMMAND_LINES = len(ROOMS)
ONLY_IN = {"ray": {"execute", "bench"}, "optuna": {"search", "bench"}, "timm": {"model"}}
NEVER_IN = {"torch": {"search", "errors", "json_text", "yaml_text", "config", "overrides", "layout", "metrics", "files", "cli"}}


def rank(room: str) -> int:
    return next((place for place, rooms in enumerate(ROOMS) if room in rooms), COMMAND_LINES)


def imported_modules(file: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return names + [f"{node.module}" for node in nodes if isinstance(node, ast.ImportFrom) and node.module]


def test_rooms_import_only_rooms_above_them_and_engines_stay_in_their_room() -> None:
    wrong = []
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        own_rank = COMMAND_LINES if file.stem == "__main__" else rank(room)
        for module in imported_modules(file):
            top, _, rest = module.partition(".")
            target = rest.split(".")[0]
            is_room = top == "hpsearch" and target not in ("", room)
            if (
                (is_room and own_rank > 0 and rank(target) >= own_rank)
                or (is_room and rank(target) > own_rank)
                or room not in ONLY_IN.get(top, {room})
                or room in NEVER_IN.get(top, set())
            ):
                wrong.append(f"{file.relative_to(PACKAGE)} imports {module}")
    assert not wrong, "\n".join(wrong)
