# SPDX-License-Identifier: Apache-2.0

"""What nova-compute's log says of the limits when it starts."""

from oslo_config import cfg
from oslo_config import fixture as config_fixture
import testtools

from nova_throttle import conf as throttle_conf
from nova_throttle import plugin


class LimitsTestCase(testtools.TestCase):
    def say(self, outgoing, **options):
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[], default_config_dirs=[])
        throttle_conf.register_opts(conf)
        fixture = self.useFixture(config_fixture.Config(conf))
        fixture.config(group='nova_throttle', **options)
        return plugin._limits(outgoing, conf.nova_throttle)

    def test_the_link_is_not_spoken_of_unless_it_has_a_limit(self):
        self.assertEqual(
            'at most 1 outgoing and at most 2 incoming live migrations at a '
            'time',
            self.say(1),
        )

    def test_no_limit(self):
        self.assertEqual(
            'any number of outgoing and any number of incoming live '
            'migrations at a time',
            self.say(0, max_incoming_live_migrations=0),
        )

    def test_limits_of_the_link(self):
        off = {'max_outgoing_transfers': 0, 'max_incoming_transfers': 0}
        for expected, options in (
            ('at most 1 outgoing', {**off, 'max_outgoing_transfers': 1}),
            ('at most 2 incoming', {**off, 'max_incoming_transfers': 2}),
            (
                'a measured number of outgoing and at most 2 incoming',
                {
                    'max_outgoing_transfers': 'auto',
                    'max_incoming_transfers': 2,
                },
            ),
        ):
            self.assertEndsWith(
                self.say(4, **options),
                f' at a time, of which {expected} may have the network link',
            )

    def assertEndsWith(self, text, end):
        self.assertTrue(text.endswith(end), text)
