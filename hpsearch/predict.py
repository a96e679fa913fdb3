"""`python -m hpsearch.predict`: P(deepfake) of images by an exported model, as a submission CSV; without Ray."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hpsearch.cli import Parser, guarded, leave
from hpsearch.errors import InputError
from hpsearch.files import require_place

MAX_UNREADABLE_FRACTION = 0.01
NUM_NAMED = 10


def parser() -> Parser:
    """The command's options."""
    options = Parser(prog="python -m hpsearch.predict", description=__doc__)
    options.add_argument(
        "--model", required=True, metavar="RUN", help="a finished run or its `best` folder, also s3://BUCKET/PREFIX/NAME"
    )
    options.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    options.add_argument(
        "--template",
        type=Path,
        metavar="FILE",
        help="image names to score, in order; default: all images in the folder, by name",
    )
    options.add_argument("--out", type=Path, required=True, metavar="FILE", help="CSV to write: img_name,y_pred")
    options.add_argument("--device", default="", help="cpu, cuda, cuda:1; default: a GPU where there is one")
    options.add_argument("--plugin", action="append", default=[], metavar="MODULE", help="your own module that the model needs")
    return options


def command(argv: list[str]) -> int:
    """Scores the images and writes the CSV; returns the exit code."""
    options = parser().parse_args(argv)
    require_place(options.out, "--out")
    names, paths = images_to_score(options.template, options.images)

    from hpsearch import load
    from hpsearch.final.submission import write_submission

    scorer = load(options.model, options.device, plugins=options.plugin)  # brings torch, for which mistakes need not wait

    def show(done: int, total: int) -> None:
        sys.stderr.write(f"\r{done:,} of {total:,} images scored")

    probabilities_n, unreadable = scorer.probabilities(paths, on_progress=show)
    sys.stderr.write("\n")
    require_few_unreadable(unreadable, len(paths))
    write_submission(options.out, names, probabilities_n)
    print(f"{options.out}: {len(names):,} rows, mean P(deepfake) {probabilities_n.mean():.3f}")
    return 0


def images_to_score(template: Path | None, images: Path) -> tuple[Sequence[str], Sequence[str]]:
    """Names and paths, from a template or of all images in a folder.

    Raises:
        InputError: the template or an image of it is missing, or the folder has no images.
    """
    from hpsearch.data.find import read_template
    from hpsearch.data.folders import require_exists, walk_images

    require_exists(images, "--images")
    if not images.is_dir():
        raise InputError(f"--images {images}: this is no folder. Give the folder that holds the images.")
    if template is not None:
        read = read_template(template, images)
        return read.names, read.paths
    names = tuple(sorted(walk_images(images)))
    if not names:
        raise InputError(f"--images {images}: no images there. Give the folder that holds them.")
    return names, tuple(str(images / name) for name in names)


def require_few_unreadable(unreadable: list[tuple[str, str]], num_images: int) -> None:
    """Says which images got 0.5 because they cannot be read.

    Raises:
        InputError: they are more than 1 %.
    """
    if not unreadable:
        return
    listed = "\n".join(f"  {path}: {reason}" for path, reason in unreadable[:NUM_NAMED])
    message = f"{len(unreadable):,} of {num_images:,} images cannot be read; the first are\n{listed}"
    if len(unreadable) > MAX_UNREADABLE_FRACTION * num_images:
        raise InputError(f"{message}\nAt most 1 % may be unreadable. Repair or replace them; nothing was written.")
    sys.stderr.write(f"hpsearch: {message}\nThey are scored 0.5.\n")


def main() -> int:
    """Entry point."""
    return guarded(command)


if __name__ == "__main__":
    leave(main)
