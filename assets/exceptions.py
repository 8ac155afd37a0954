"""Errors of the assets app."""

from common.exceptions import JobFailed


class AssetFailed(JobFailed):
    """The asset could not be processed."""
