# SPDX-License-Identifier: Apache-2.0

"""A command that needs Nova's API, as an administrator has it."""

import argparse

from nova_throttle.cmd import plain
from nova_throttle.drain import api
from nova_throttle.drain import cloud as cloud_lib


class Command(plain.Command):
    """A command that asks Nova."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add how to find the API."""
        parser.add_argument(
            '--os-cloud',
            metavar='NAME',
            help='a cloud of clouds.yaml; without it OS_* of the environment '
            'say where Nova is',
        )

    def cloud(self, parsed_args: argparse.Namespace) -> cloud_lib.Cloud:
        """Return Nova's API."""
        return cloud_lib.Cloud(api.Api(parsed_args.os_cloud))


class HostCommand(Command):
    """A command that asks Nova about a host."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the host."""
        plain.add_host(parser)
        super().add_arguments(parser)
