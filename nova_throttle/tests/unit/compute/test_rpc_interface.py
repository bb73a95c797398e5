# SPDX-License-Identifier: Apache-2.0

"""The RPC interface of nova-compute is what it is without us."""

import inspect

from nova.compute import manager as nova_manager
import testtools

from nova_throttle.compute import manager


def _methods(cls):
    """Return what the message bus can call, by name."""
    return {
        name: getattr(cls, name)
        for name in dir(cls)
        if not name.startswith('_') and callable(getattr(cls, name))
    }


def _parameters(method):
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(method).parameters.values()
    ]


def _hands_on(self, *args, **kwargs):
    """Have the arguments of a hook that differs between releases."""


class RPCInterfaceTestCase(testtools.TestCase):
    novas = nova_manager.ComputeManager
    ours = manager.ThrottledComputeManager

    def test_target(self):
        self.assertIs(self.novas.target, self.ours.target)

    def test_methods(self):
        self.assertEqual(set(_methods(self.novas)), set(_methods(self.ours)))
        self.assertIn('live_migration', _methods(self.ours))

    def test_signatures(self):
        ours = _methods(self.ours)
        for name, method in _methods(self.novas).items():
            if name in ('init_host', 'graceful_shutdown'):
                method = _hands_on
            self.assertEqual(
                _parameters(method), _parameters(ours[name]), name
            )

    def test_what_novas_shutdown_waits_for(self):
        name = '_skip_automatic_rpc_tracking'
        ours = _methods(self.ours)
        for method_name, method in _methods(self.novas).items():
            self.assertEqual(
                getattr(method, name, False),
                getattr(ours[method_name], name, False),
                method_name,
            )

    def test_periodic_tasks(self):
        for name in ('_periodic_tasks', '_periodic_spacing'):
            self.assertEqual(
                getattr(self.novas, name), getattr(self.ours, name)
            )
        self.assertNotEqual([], self.ours._periodic_tasks)

    def test_what_else_is_public(self):
        """The contract for tests of others; no method."""
        self.assertEqual(
            {'throttle'},
            {n for n in dir(self.ours) if not n.startswith('_')}
            - {n for n in dir(self.novas) if not n.startswith('_')},
        )
