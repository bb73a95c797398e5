# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

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
