# SPDX-License-Identifier: Apache-2.0

"""Which nova-throttle this is."""

from importlib import metadata


def installed() -> str:
    """Return the version of the installed package."""
    try:
        return metadata.version('nova-throttle')
    except metadata.PackageNotFoundError:
        return 'unknown'
