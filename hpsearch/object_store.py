"""Objects below one address of an S3 store: read, written whole, and written only where nobody else has written meanwhile.

The last needs boto3 (`pip install 'hpsearch[s3]'`), which is loaded when a store is first used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from hpsearch.errors import InputError, StorageError
from hpsearch.files import replacing

SCHEME = "s3://"
OPTIONS = frozenset({"region", "scheme", "endpoint_override"})
"""What may follow an address after `?`, named as for `--data`."""
CHUNK_BYTES = 2**20
CONFLICTS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
"""How a store says that a condition of a write did not hold."""
MISSING = frozenset({"NoSuchKey", "404"})
"""How it says that there is no such object."""


class ConflictError(Exception):
    """The object is not as the writer took it to be: somebody else has written it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """What one reading of an object gave."""

    data: bytes
    """Its content."""
    tag: str
    """Changes with the content."""
    age_seconds: float
    """Since it was written, by the store's own clock."""


@dataclass(slots=True)
class ObjectStore:
    """A bucket's objects whose keys begin with the same prefix; processes that it is sent to make their own connections."""

    address: str
    """`s3://BUCKET/PREFIX`, with `?region=…`, `&endpoint_override=HOST:PORT` and `&scheme=http` where needed."""
    _client: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Checks the address.

        Raises:
            InputError: it is none.
        """
        unknown = set(self._options()) - OPTIONS
        if not self.address.startswith(SCHEME) or not self._bucket or unknown:
            rule = f"of {', '.join(sorted(OPTIONS))} only" if unknown else "s3://BUCKET/PREFIX"
            raise InputError(
                f"{self.address}: not an address of an object store. Give s3://BUCKET/PREFIX?region=REGION, {rule}."
            )

    def __getstate__(self) -> dict[str, str]:
        return {"address": self.address}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.address, self._client = state["address"], None

    @property
    def _bucket(self) -> str:
        return self._path().partition("/")[0]

    def _path(self) -> str:
        return self.address.partition("?")[0].removeprefix(SCHEME).strip("/")

    def _options(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.address.partition("?")[2]).items()}

    def _key(self, name: str) -> str:
        prefix = self._path().partition("/")[2]
        return f"{prefix}/{name}" if prefix else name

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._key(name)}

    def read(self, name: str) -> StoredObject | None:
        """One object; None: there is none."""
        answer = self._call("get_object", **self._where(name))
        if answer is None:
            return None
        with self._faults():
            data: bytes = answer["Body"].read()
        return StoredObject(data=data, tag=answer["ETag"], age_seconds=_age_seconds(answer))

    def write(self, name: str, data: bytes, *, only_if_new: bool = False, only_over: str = "") -> str:
        """Writes one object, durable on return; returns its tag.

        Args:
            name: below the address.
            data: its content.
            only_if_new: only where there is none of this name.
            only_over: only over the object with this tag.

        Raises:
            ConflictError: the condition does not hold.
            StorageError: the store does not take it.
        """
        condition = {"IfNoneMatch": "*"} if only_if_new else {"IfMatch": only_over} if only_over else {}
        return str(self._call("put_object", Body=data, **self._where(name), **condition)["ETag"])

    def upload(self, file: Path, name: str) -> None:
        """Copies `file` to an object, in parts where it is large."""
        self._call("upload_file", Filename=str(file), **self._where(name))

    def download(self, name: str, file: Path) -> bool:
        """Copies an object to `file`, which is replaced whole; False: there is none, and `file` is as it was."""
        answer = self._call("get_object", **self._where(name))
        if answer is None:
            return False
        with replacing(file) as partial, partial.open("wb") as stream, self._faults():
            for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                stream.write(chunk)
        return True

    def remove(self, name: str) -> None:
        """Removes one object; one that is not there is no fault."""
        self._call("delete_object", **self._where(name))

    def names(self, prefix: str = "") -> list[str]:
        """Names of all objects that begin with `prefix`, in order."""
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = self._call("list_objects_v2", Bucket=self._bucket, Prefix=self._key(prefix), **more)
            found += [item["Key"].removeprefix(self._key("")) for item in answer.get("Contents", ())]
            if not answer.get("IsTruncated"):
                return sorted(found)
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _call(self, operation: str, **request: Any) -> Any:
        """What the store answers; None: no such object."""
        if self._client is None:
            self._client = self._connected()
        from botocore.exceptions import ClientError

        with self._faults():
            try:
                return getattr(self._client, operation)(**request)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in MISSING:
                    return None
                if code in CONFLICTS:
                    raise ConflictError(request["Key"]) from error
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Says in this project's words what boto3 raises."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> StorageError:
        return StorageError(
            f"{self.address}: {' '.join(str(error).split())}. Check the address, its region (?region=… at its end, or "
            "AWS_REGION) and this machine's credentials; the same command then goes on."
        )

    def _connected(self) -> Any:
        try:
            import boto3
            from botocore.config import Config
        except ModuleNotFoundError as error:
            raise InputError(f"{self.address}: needs boto3, which is not installed. `pip install 'hpsearch[s3]'`.") from error
        options = self._options()
        host = options.get("endpoint_override")
        return boto3.session.Session().client(
            "s3",
            region_name=options.get("region"),
            endpoint_url=f"{options.get('scheme', 'https')}://{host}" if host else None,
            config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 5}),
        )


def _age_seconds(answer: Any) -> float:
    from email.utils import parsedate_to_datetime

    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - answer["LastModified"]).total_seconds())
