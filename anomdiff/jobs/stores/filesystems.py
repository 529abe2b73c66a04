"""The client of each kind of object store, set up by the store's usual environment variables."""

import os
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache

import pyarrow.fs as fs

from anomdiff.jobs.exit_codes import SettingsError

__all__ = ["SCHEMES", "client", "hint"]

# How to set up the client of an address, and the variables that a user has to look at.
S3 = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL"
SCHEMES = {
    "s3": S3,
    "s3a": S3,
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS",
    "abfs": "AZURE_STORAGE_KEY, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET",
    "abfss": "AZURE_STORAGE_KEY, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET",
}
CONNECT_SECONDS, REQUEST_SECONDS, RETRY_SECONDS, ATTEMPTS = 5, 60, 15, 3


def client(scheme: str, authority: str) -> tuple[fs.FileSystem, str]:
    """Client of an object store, and the bucket or container in which paths count.

    Parameters
    ----------
    scheme : str
        One of `SCHEMES`.
    authority : str
        What stands between `://` and the path: a bucket or, on Azure,
        `container@account.dfs.core.windows.net`.

    Raises
    ------
    SettingsError
        If the address of Azure has no account.
    OSError
        If the region of a bucket is not set and cannot be found.
    """
    prefix = {"s": "AWS_", "g": "GOOGLE_", "a": "AZURE_"}[scheme[0]]
    variables = (item for item in os.environ.items() if item[0].startswith(prefix))
    return _client(scheme, authority, tuple(sorted(variables)))


def hint(scheme: str) -> str:
    """Environment variables to set for addresses of a scheme."""
    return SCHEMES[scheme]


@lru_cache(maxsize=16)
def _client(
    scheme: str, authority: str, variables: Iterable[tuple[str, str]]
) -> tuple[fs.FileSystem, str]:
    """Client for the present environment, kept: it holds open connections."""
    given = dict(variables)
    if scheme.startswith("s3"):
        return _s3(authority, given), authority
    if scheme.startswith("g"):
        patience = timedelta(seconds=RETRY_SECONDS)
        return fs.GcsFileSystem(retry_time_limit=patience), authority
    container, _, host = authority.partition("@")
    if not host:
        raise SettingsError(
            f"need an address like {scheme}://container@account.dfs.core.windows.net/path; "
            f"got {scheme}://{authority}."
        )
    account = host.partition(".")[0]
    return fs.AzureFileSystem(account, account_key=given.get("AZURE_STORAGE_KEY")), container


def _s3(bucket: str, given: dict[str, str]) -> fs.S3FileSystem:
    endpoint = given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL")
    region = given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION")
    if region is None:
        region = "us-east-1" if endpoint else fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        endpoint_override=endpoint,
        region=region,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
