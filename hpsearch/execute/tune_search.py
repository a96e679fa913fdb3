"""Tune's searcher: asks the engine, one stretch for one Tune trial."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from hpsearch.execute.session import SearchSession


class EngineSearch(Searcher):
    """Passes stretches on as Tune's configurations."""

    def __init__(self, session: SearchSession) -> None:
        super().__init__()
        self._session = session

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Says that slots are counted here, so that Tune adds no limit of its own."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next stretch, None while there is nothing to do, FINISHED when the search is over."""
        stretch = self._session.take(trial_id)
        if stretch is not None:
            return {"stretch": stretch, "key": trial_id}
        return Searcher.FINISHED if self._session.is_over else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Frees the slot."""
        self._session.free(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing: the journal is the only state."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Saves nothing: the journal is the only state."""
