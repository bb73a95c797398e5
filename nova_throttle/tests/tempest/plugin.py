# SPDX-License-Identifier: Apache-2.0

"""What tempest loads."""

import os

from tempest.test_discover import plugins

from nova_throttle.tests.tempest import config


class NovaThrottlePlugin(plugins.TempestPlugin):
    """Tests of nova-throttle that need nothing but the API."""

    def load_tests(self):
        """Return where the tests are."""
        here = os.path.dirname(os.path.abspath(__file__))
        top = os.path.dirname(os.path.dirname(os.path.dirname(here)))
        return here, top

    def register_opts(self, conf):
        """Add our group to tempest's configuration."""
        conf.register_group(config.GROUP)
        conf.register_opts(config.OPTS, group=config.GROUP)

    def get_opt_lists(self):
        """Return our options, for tempest's sample."""
        return [(config.GROUP.name, config.OPTS)]
