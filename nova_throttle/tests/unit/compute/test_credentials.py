# SPDX-License-Identifier: Apache-2.0

"""A request of before a restart gets a token of Nova's own."""

import pathlib

import fixtures
from keystoneauth1 import fixture as keystone
from keystoneauth1 import loading
from nova import context as nova_context
from oslo_config import cfg
import requests_mock
import testtools

from nova_throttle.compute.source import credentials

_URL = 'http://keystone/v3'

_SECTION = f"""
[%s]
auth_type = v3password
auth_url = {_URL}
username = nova
password = its-password
user_domain_id = default
project_name = service
project_domain_id = default
"""


class LendTestCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.keystone = self.useFixture(_Keystone()).requests
        self.context = nova_context.RequestContext(
            'user', 'project', is_admin=True, overwrite=False
        )

    def configure(self, *groups):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        file = path / 'nova.conf'
        file.write_text(''.join(_SECTION % group for group in groups))
        conf = cfg.ConfigOpts()
        for group in credentials.GROUPS:
            loading.register_auth_conf_options(conf, group)
            loading.register_session_conf_options(conf, group)
        conf(['--config-file', str(file)])
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova_throttle.compute.source.credentials.CONF', conf
            )
        )

    def test_a_fresh_token_and_its_catalog(self):
        self.configure('placement')
        credentials.lend(self.context)
        self.assertEqual('a-fresh-token', self.context.auth_token)
        (service,) = self.context.service_catalog
        self.assertEqual('image', service['type'])
        self.assertEqual('http://glance', service['endpoints'][0]['publicURL'])
        self.assertEqual('user', self.context.user_id)

    def test_the_service_user_is_asked_for_first(self):
        self.configure('placement', 'service_user')
        credentials.lend(self.context)
        self.assertEqual('a-fresh-token', self.context.auth_token)
        methods = [r.method for r in self.keystone.request_history]
        self.assertEqual(1, methods.count('POST'))

    def test_without_credentials_it_is_as_it_was(self):
        self.configure()
        credentials.lend(self.context)
        self.assertIsNone(self.context.auth_token)

    def test_without_keystone_it_is_as_it_was(self):
        self.configure('placement')
        self.keystone.post(f'{_URL}/auth/tokens', status_code=503)
        credentials.lend(self.context)
        self.assertIsNone(self.context.auth_token)


class _Keystone(fixtures.Fixture):
    """Keystone's answers to a log-in."""

    def _setUp(self):
        self.requests = requests_mock.Mocker()
        self.requests.start()
        self.addCleanup(self.requests.stop)
        discovery = keystone.DiscoveryList(href='http://keystone', v2=False)
        self.requests.get('http://keystone/', json=discovery)
        self.requests.get(_URL, json={'version': discovery.versions[0]})
        token = keystone.V3Token()
        token.set_project_scope()
        glance = token.add_service('image', name='glance')
        glance.add_standard_endpoints(public='http://glance')
        self.requests.post(
            f'{_URL}/auth/tokens',
            json=token,
            headers={'X-Subject-Token': 'a-fresh-token'},
        )
