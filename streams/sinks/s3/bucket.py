"""A bucket, and what went wrong with it in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from pipeline.errors import SinkError
from streams.sinks.credentials import reveal
from streams.sinks.s3.options import S3Options

_REASONS = {
    "NoSuchBucket": "there is no such bucket; make it",
    "404": "there is no such bucket; make it",
    "AccessDenied": "we may not write there; check the keys' rights (s3:PutObject, s3:AbortMultipartUpload)",
    "403": "we may not write there; check the keys' rights (s3:PutObject, s3:AbortMultipartUpload)",
    "InvalidAccessKeyId": "it does not know access_key",
    "SignatureDoesNotMatch": "secret_key is wrong",
    "ExpiredToken": "session_token has expired; `file:PATH` is read anew at each try",
    "InvalidToken": "session_token is wrong",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "PermanentRedirect": "the bucket is in another region; set `region`",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set `region`",
    "IllegalLocationConstraintException": "the bucket is in another region; set `region`",
}


class Closed(Exception):  # noqa: N818 - no failure
    """The sink is being closed."""


class Bucket:
    """Uploads into one bucket; for one thread.

    Args:
        options: of the sink.
        is_closed: asked in the midst of uploads, which then end.

    Raises:
        SinkError: if the secrets cannot be found.
    """

    def __init__(self, options: S3Options, is_closed: Callable[[], bool]) -> None:
        import boto3
        from botocore.config import Config

        self._options = options
        self._is_closed = is_closed
        self._shown = f"bucket {options.bucket}" + (f" at {options.endpoint}" if options.endpoint else "")
        keys: dict[str, str] = {}
        if options.access_key and options.secret_key:
            keys = {
                "aws_access_key_id": reveal(options.access_key),
                "aws_secret_access_key": reveal(options.secret_key),
            }
            if options.session_token:
                keys["aws_session_token"] = reveal(options.session_token)
        # Checksums of the newer kind are unknown to many servers that speak S3; there they are left out.
        checksums = "when_required" if options.endpoint else "when_supported"
        config = Config(
            connect_timeout=options.timeout_s,
            read_timeout=options.timeout_s,
            retries={"total_max_attempts": 3, "mode": "standard"},
            signature_version="s3v4",
            s3={"addressing_style": options.addressing},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
        )
        try:
            self._client = boto3.session.Session().client(
                "s3",
                endpoint_url=options.endpoint,
                region_name=options.region,
                verify=str(options.ca_file) if options.ca_file else options.verify_tls,
                config=config,
                **keys,
            )
        except Exception as error:
            raise SinkError(f"{self._shown}: {self._reason(error)}") from None

    def upload(self, file: BinaryIO, key: str, kind: str, notes: Mapping[str, str]) -> None:
        """Store an open file as one object; a large one in parts, which are given up if one of them fails.

        Args:
            file: from its present place on.
            key: of the object; one that is there is replaced.
            kind: MIME type.
            notes: metadata, in ASCII.

        Raises:
            SinkError: if it is not there now, in one line that says why.
        """
        from boto3.s3.transfer import TransferConfig

        part = self._options.part_mb * 1_000_000
        # In this thread: no more than one part is in memory, and `close` ends it between two pieces.
        config = TransferConfig(multipart_threshold=part, multipart_chunksize=part, use_threads=False)
        extra: dict[str, Any] = {"ContentType": kind, "Metadata": dict(notes)}
        if self._options.storage_class:
            extra["StorageClass"] = self._options.storage_class
        try:
            self._client.upload_fileobj(
                file, self._options.bucket, key, ExtraArgs=extra, Callback=self._look, Config=config
            )
        except Closed:
            raise SinkError(f"{self._shown}: closed") from None
        except Exception as error:  # botocore and s3transfer have no common base
            raise SinkError(f"{self._shown}: {self._reason(error)}") from error

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _look(self, _bytes: int) -> None:
        if self._is_closed():
            raise Closed

    def _reason(self, error: BaseException) -> str:
        from botocore import exceptions

        found: BaseException | None = error
        while found is not None:
            match found:
                case exceptions.ClientError():
                    code = str(found.response.get("Error", {}).get("Code", ""))
                    said = found.response.get("Error", {}).get("Message", "")
                    return _REASONS.get(code, f"it answers {code}: {said}")
                case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
                    return "no keys are given or found; set access_key and secret_key"
                case exceptions.SSLError():
                    return f"no TLS with it ({found}); check endpoint, verify_tls and ca_file"
                case exceptions.ConnectTimeoutError() | exceptions.ReadTimeoutError():
                    return f"no answer within {self._options.timeout_s:g} s"
                case exceptions.EndpointConnectionError():
                    return "nothing answers there"
                case exceptions.ConnectionClosedError():
                    return "it ended the connection"
            found = found.__cause__ or found.__context__
        return " ".join(str(error).split()) or type(error).__name__
