"""What a reader must know of the scores on the validation images."""

from __future__ import annotations

from hpsearch.judge.views import SINGLE_VIEWS, Views

CHOSEN_ON_VAL = "the configuration was chosen on these images, so this score is a little too good; its weights never saw them"
"""Note beside the validation scores."""
TRAINED_ON_ALL = "they are scored by the winner as trained without them, the exported model was then trained on them too"
"""Added where `final.train_on` is `all`."""


def val_note(views: Views, num_members: int, *, trained_on_all: bool) -> str:
    """The note beside them."""
    means = []
    if num_members > 1:
        means.append(f"{num_members} networks")
    if views != "none":
        means.append(f"{len(SINGLE_VIEWS[views])} views of an image")
    notes = [CHOSEN_ON_VAL, *([f"answers are means over {' and '.join(means)}, chosen on them likewise"] if means else [])]
    return "; ".join([*notes, TRAINED_ON_ALL] if trained_on_all else notes)
