"""An S3 server of the test's own on loopback (moto's), with a bucket."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

BUCKET = "studies"


@contextmanager
def s3_server() -> Iterator[ThreadedMotoServer]:
    """Runs it, with credentials for this process and those that it starts."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        file_system, _ = fs.FileSystem.from_uri(address(server, BUCKET) + "&allow_bucket_creation=true")
        file_system.create_dir(BUCKET)
        try:
            yield server
        finally:
            server.stop()


def address(server: ThreadedMotoServer, path: str) -> str:
    _, port = server.get_host_and_port()
    return f"s3://{path}?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{port}"
