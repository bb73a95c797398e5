# SPDX-License-Identifier: Apache-2.0


"""The connection to libvirt is lost, and nova-compute goes on.

libvirt tells of it in whatever thread finds out, also inside a call.
"""

import queue
import threading
import types

import fixtures
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import host as nova_host

from nova_throttle.compute import compat
from nova_throttle.tests.functional import base
from nova_throttle.virt.libvirt import connection

# Before Nova's functional base puts a mock in its place.
GET_CONNECTION = nova_host.Host.get_connection


class Connection:
    """A connection to a host's fake libvirt, which can be lost."""

    def __init__(self, fake):
        self._fake = fake
        self.lost = False
        self.tell = None

    def __getattr__(self, name):
        return getattr(self._fake, name)

    def registerCloseCallback(self, callback, opaque):
        def tell():
            self.tell = None  # libvirt tells it once
            callback(self, 'end of file', opaque)

        self.tell = tell

    def getLibVersion(self):
        if not self.lost:
            return self._fake.getLibVersion()
        if self.tell is not None:
            self.tell()
        raise fakelibvirt.make_libvirtError(
            fakelibvirt.libvirtError,
            'internal error: client socket is closed',
            error_code=fakelibvirt.VIR_ERR_INTERNAL_ERROR,
            error_domain=fakelibvirt.VIR_FROM_RPC,
        )


class LostConnectionTestCase(base.ThrottleTestCase):
    def setUp(self):
        super().setUp()
        if not compat.is_native():
            self.skipTest('Nova queues what libvirt tells under eventlet')
        self.flags(host='src')
        self.host = self.src.driver._host
        fake = self.host.get_connection()
        self.host._connect = lambda uri, read_only: Connection(fake)
        # Nobody else takes from it.
        self.host._conn_event_handler_queue = queue.Queue()
        self.addCleanup(
            setattr, self.host, 'get_connection', self.host.get_connection
        )
        self.host.get_connection = types.MethodType(GET_CONNECTION, self.host)
        self.connection = self.call()
        self.assert_status('enabled')

    def call(self):
        """Have a thread do what each call to libvirt begins with.

        :returns: the connection that it got; None if there is none.
        """
        found = []
        thread = threading.Thread(
            target=lambda: found.append(self.host._get_connection()),
            daemon=True,
        )
        thread.start()
        thread.join(base.PATIENCE)
        self.assertFalse(thread.is_alive(), 'a call to libvirt hangs')
        return found[0] if found else None

    def refuse(self, uri, read_only):
        """Stand in for a libvirt that is not there."""
        raise fakelibvirt.make_libvirtError(
            fakelibvirt.libvirtError,
            'Failed to connect socket: Connection refused',
            error_code=fakelibvirt.VIR_ERR_SYSTEM_ERROR,
            error_domain=fakelibvirt.VIR_FROM_RPC,
        )

    def assert_status(self, status):
        """Check the status of the host when Nova has done all it queued."""
        while not self.host._conn_event_handler_queue.empty():
            self.host._dispatch_conn_event()
        [found] = [
            service['status']
            for service in self.api.get_services()
            if (service['binary'], service['host']) == ('nova-compute', 'src')
        ]
        self.assertEqual(status, found)

    def test_a_process_whose_start_failed_ends(self):
        """Plain Nova waits for ever for the thread of these events."""
        at_exit = []
        self.useFixture(
            fixtures.MonkeyPatch(
                'atexit.register', lambda *call: at_exit.append(call)
            )
        )
        connection.mend(self.host)
        thread = threading.Thread(
            target=self.host._conn_event_thread, daemon=True
        )
        thread.start()
        for call, *args in at_exit:
            call(*args)
        thread.join(base.PATIENCE)
        self.assertFalse(thread.is_alive())

    def test_inside_a_call(self):
        """Its thread has the lock that the close callback wants."""
        self.connection.lost = True
        again = self.call()
        self.assertIsNot(self.connection, again)
        self.assertIs(again, self.call())
        self.assert_status('enabled')
        (server,) = self.boot()
        self.migrate(server)
        self.wait_status(server, 'completed')

    def test_inside_a_call_and_libvirt_is_not_back(self):
        connect, self.host._connect = self.host._connect, self.refuse
        self.connection.lost = True
        self.assertIsNone(self.call())
        self.assert_status('disabled')
        self.host._connect = connect
        self.assertIsNotNone(self.call())
        self.assert_status('enabled')

    def test_between_two_calls(self):
        self.connection.lost = True
        self.connection.tell()
        self.assert_status('disabled')
        self.assertIsNot(self.connection, self.call())
        self.assert_status('enabled')

    def test_told_when_there_is_another(self):
        """libvirt's own thread waited while a call connected again."""
        late, self.connection.tell = self.connection.tell, None
        self.connection.lost = True
        self.call()
        late()
        self.assert_status('enabled')


class OtherNovaTestCase(base.ThrottleTestCase):
    def test_what_does_not_hang_is_left_alone(self):
        if compat.is_native():
            self.skipTest('here it would hang')
        host = self.src.driver._host
        self.assertNotIn('_close_callback', vars(host))
        self.assertIs(type(threading.Lock()), type(host._wrapped_conn_lock))
