# SPDX-License-Identifier: Apache-2.0

"""The metrics of a host, from the command line.

They are what Prometheus gets of the host itself, if it listens.
"""

import argparse

from nova_throttle.cmd import base


class Metrics(base.Asking):
    """Print the metrics of a host in Prometheus' text format.

    It is what the host tells at [nova_throttle] metrics_bind, which need not
    be set for this. Written to a file that is renamed to its place, it suits
    the textfile collector of node_exporter.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print them."""
        text = self.ask(parsed_args, lambda api, ctxt: api.get_metrics(ctxt))
        self.app.stdout.write(text)
