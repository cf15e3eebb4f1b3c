"""S3 through boto3: addresses, a client, and its errors in words without secrets."""

import re
from typing import Any

from chimle.errors import TRANSIENT_STATUSES, UserError

_WORDS = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "NoSuchVersion": "there is no such version of it",
    "404": "there is no such bucket or object",
    "AccessDenied": "access is denied",
    "AllAccessDisabled": "access is denied",
    "401": "access is denied",
    "403": "access is denied",
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key is not the one of the access key",
    "ExpiredToken": "the session's token has expired",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "AuthorizationHeaderMalformed": "the region is another one",
    "PermanentRedirect": "the region is another one",
    "301": "the region is another one",
    "PreconditionFailed": "it has changed",
    "412": "it has changed",
    "500": "its server fails",
    "InternalError": "its server fails",
    "503": "its server is busy",
    "SlowDown": "its server is busy",
    "429": "its server is busy",
}
"""Meaning of the service's error codes."""
NO_CREDENTIALS = "no credentials were found"
"""`describe` where S3 asks for credentials and there are none."""
BOTO_NO_CREDENTIALS = "Unable to locate credentials"
"""What boto3, and so DVC, says of the same."""
SET_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
"""What to do then."""


_ADDRESS = re.compile(r"s3://(?P<bucket>[^/@]+)(?:/(?P<key>.*))?")


def split_address(address: str) -> tuple[str, str] | None:
    """Bucket and key of `s3://BUCKET[/KEY]`; None for any other address."""
    found = _ADDRESS.fullmatch(address)
    return (found["bucket"], found["key"] or "") if found else None


def errors() -> tuple[type[Exception], ...]:
    """Exceptions that boto3 raises; callable once boto3 is installed."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.parsers import ResponseParserError

    return BotoCoreError, ClientError, Boto3Error, HTTPClientError, ResponseParserError


def connect(
    *,
    endpoint: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    unsigned: bool = False,
    connections: int = 10,
    attempts: int = 4,
) -> Any:
    """An S3 client; credentials come from boto3's default chain.

    Args:
        endpoint: address of another server than Amazon's; None: from the default chain.
        region: None: from the default chain.
        profile: of the default chain.
        unsigned: send no credentials.
        connections: largest number kept open.
        attempts: for each request, with growing pauses.

    Raises:
        UserError: boto3 is missing, there is no such profile, or an address is invalid.
    """
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError:
        raise UserError("S3 needs boto3: pip install 'chimle[s3]'") from None
    config = Config(
        signature_version=UNSIGNED if unsigned else None,
        connect_timeout=10,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=connections,
    )
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        return session.client("s3", endpoint_url=endpoint, config=config)
    except ValueError:
        raise UserError("`source.endpoint` is no valid address: write https://HOST") from None
    except errors() as error:
        raise UserError(f"S3 cannot be used: {describe(error)}") from None


def code(error: BaseException) -> str:
    """The service's error code; empty for an error of another origin."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def status(error: BaseException) -> int:
    """The HTTP status of a service's error; 0 for an error of another origin."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return int(metadata.get("HTTPStatusCode", 0))


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may succeed: the service is busy, or the connection failed."""
    from botocore import exceptions

    broken = (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.ResponseStreamingError,
    )
    return status(error) in TRANSIENT_STATUSES or isinstance(error, broken)


def describe(error: BaseException) -> str:
    """An error in few words, without the service's own text, which may quote keys."""
    if known := code(error):
        return _WORDS.get(known, f"the service says {known}")
    match type(error).__name__:
        case "NoCredentialsError" | "PartialCredentialsError" | "CredentialRetrievalError":
            return NO_CREDENTIALS
        case "ProfileNotFound":
            return "there is no such profile in the credentials"
        case "EndpointConnectionError" | "ConnectTimeoutError" | "ConnectionError":
            return "its server cannot be reached"
        case "ReadTimeoutError":
            return "its server is silent"
        case "NoRegionError" | "InvalidRegionError":
            return "the region is missing or not valid"
        case "ParamValidationError":
            return "the bucket's name or the key is not valid"
        case "ResponseStreamingError" | "IncompleteReadError" | "ConnectionClosedError":
            return "the connection broke off"
        case "ResponseParserError":
            return "its server does not speak S3"
        case name:
            return name.removesuffix("Error").removesuffix("Exception")
