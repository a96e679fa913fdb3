"""When a worker process counts as lost: it died, or Ray ended it because its node ran short of memory."""

from __future__ import annotations

from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from hpsearch.errors import ClusterError
from hpsearch.execute.messages import last_line

LOST = (RayActorError, OutOfMemoryError)
"""What Ray raises for a process that is gone. The second is no kind of the first."""


def check_began(error: Exception) -> None:
    """Looks whether a lost worker had begun at all.

    Raises:
        ClusterError: it had not: its process cannot run our code, and will not the next time.
    """
    if isinstance(error, RayActorError) and error.actor_init_failed:
        raise ClusterError(f"a worker cannot run hpsearch: {last_line(error)}. See its node's Ray logs.") from error


class LostActorManager(RayActorManager):
    """Tune's manager of actors. Ray's own takes the end of a process that used too much memory for a mistake in Tune."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=str(exception))
        super()._actor_task_failed(tracked_actor_task, exception)
