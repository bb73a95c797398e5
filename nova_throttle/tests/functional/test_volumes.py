# SPDX-License-Identifier: Apache-2.0

"""Volumes are attached where the guest is, and nowhere else, whatever fails.

And nothing else of a server stays on a host that it has left.
"""

from cinderclient import exceptions as cinder_exception
import fixtures
from nova import objects
from nova.tests import fixtures as nova_fixtures
from oslo_concurrency import lockutils
import oslo_messaging

from nova_throttle.tests.functional import base
from nova_throttle.tests.functional import pause
from nova_throttle.tests.functional import test_arrival

# Any that Nova's fixture takes for a plain one.
VOLUME = nova_fixtures.CinderFixture.SWAP_OLD_VOL


class VolumesTestCase(test_arrival.ArrivalTestCase):
    def setUp(self):
        self.cinder = self.useFixture(nova_fixtures.CinderFixture(self))
        super().setUp()
        self.attach_volume(self.server, VOLUME)
        self.wait_for(lambda: self.attachments())
        self.at_source = self.attachments()

    def attachments(self):
        return set(self.cinder.volume_to_attachment[VOLUME])

    def is_forgotten(self, migration):
        """Have the source try again, and tell whether all is done."""
        self.retry()
        return self.src.manager._parts.journal.get(migration.uuid) is None

    def attached(self):
        """Return the hosts to which the volume is attached."""
        return ['dest'] * bool(self.attachments() - self.at_source) + [
            'src'
        ] * bool(self.attachments() & self.at_source)


class VolumeTestCase(VolumesTestCase):
    def test_it_moves(self):
        self.migrate(self.server)
        self.assert_moved(self.server)
        self.assertEqual(['dest'], self.attached())

    def test_it_stays(self):
        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        self.assertEqual(['dest', 'src'], self.attached())
        self.guests.fail(self.server)
        self.assert_left(self.server, 'failed')
        self.assertEqual(['src'], self.attached())

    def test_it_is_aborted_after_a_restart(self):
        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        self.kill_and_start()
        self.assert_left(self.server, 'error')
        self.assertEqual(['src'], self.attached())

    def test_it_was_detached_and_that_could_not_be_said(self):
        """The attachment that was deleted was deleted again, for ever."""
        save = objects.BlockDeviceMapping.save
        failed = []

        def fail_once(bdm):
            if bdm.attachment_id in self.at_source and not failed:
                failed.append(bdm)
                raise oslo_messaging.MessagingTimeout('no conductor')
            save(bdm)

        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.objects.BlockDeviceMapping.save', fail_once
            )
        )
        self.guests.fail(self.server)
        self.wait_for(lambda: failed)
        self.wait_for(self.is_undone_at_next_look)
        self.assert_left(self.server, 'failed')
        self.assertEqual(['src'], self.attached())

    def test_cinder_refuses_while_it_is_undone(self):
        """Nova warned, and named the destination's attachment from then on."""
        api = self.src.manager.volume_api
        delete = api.attachment_delete

        def refuse(context, attachment_id):
            raise cinder_exception.ClientException(500)

        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        api.attachment_delete = refuse
        self.guests.fail(self.server)
        self.wait_for(lambda: self.problem() is not None)
        self.assertEqual(['dest', 'src'], self.attached())
        api.attachment_delete = delete
        self.wait_for(self.is_undone_at_next_look)
        self.assert_left(self.server, 'failed')
        self.assertEqual(['src'], self.attached())

    def is_undone_at_next_look(self):
        self.retry()
        return self.status(self.server) == 'failed'

    def test_an_interrupted_preparation_is_undone_and_done_again(self):
        self.kill_while_preparing(self.server)
        self.assertEqual(['dest', 'src'], self.attached())
        self.start_again()
        self.assert_moved(self.server)
        self.assertEqual(['dest'], self.attached())
        self.assertEqual(1, len(self.attachments()))

    def test_the_source_fails_after_it_was_detached_there(self):
        """Its attachment was looked for, for ever."""
        mend = self.break_(
            self.src.manager.driver, 'post_live_migration_at_source'
        )
        self.migrate(self.server)
        self.wait_for(lambda: self.problem() is not None)
        self.assertEqual(['dest'], self.attached())
        mend()
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)
        self.assertEqual(['dest'], self.attached())

    def test_cinder_is_away(self):
        """It stayed attached to both hosts: Nova goes on if that fails."""
        api = self.src.manager.volume_api
        mend_all = [
            self.break_(api, name)
            for name in ('attachment_delete', 'attachment_get')
        ]
        self.migrate(self.server)
        self.assert_on(self.server, 'dest')
        self.wait_for(lambda: self.problem() == 'down')
        self.retry()
        self.assertEqual(['dest', 'src'], self.attached())
        self.assert_not_over(self.server)
        for mend in mend_all:
            mend()
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)
        self.assertEqual(['dest'], self.attached())

    def test_the_source_is_killed_after_it_was_detached_there(self):
        mend = self.break_(
            self.src.manager.driver, 'post_live_migration_at_source'
        )
        self.migrate(self.server)
        self.wait_for(lambda: self.problem() is not None)
        self.kill()
        mend()
        self.start_again()
        self.assert_moved(self.server)
        self.assertEqual(['dest'], self.attached())

    def test_one_attached_meanwhile_is_kept(self):
        """Nova would delete its attachment, which is the guest's."""
        mend = self.break_(
            self.src.manager.driver, 'post_live_migration_at_source'
        )
        self.migrate(self.server)
        self.assert_on(self.server, 'dest')
        other = nova_fixtures.CinderFixture.SWAP_NEW_VOL
        self.attach_volume(self.server, other)
        self.wait_for(lambda: self.cinder.volume_to_attachment[other])
        mend()
        self.wait_for(self.is_completed_at_next_look)
        self.assert_moved(self.server)
        self.assertEqual(['dest'], self.attached())
        self.assertEqual(1, len(self.cinder.volume_to_attachment[other]))


class DeletedTestCase(VolumesTestCase):
    """A server is deleted while it is being moved.

    Its volume names the attachment that its destination made.
    """

    def setUp(self):
        super().setUp()
        self.guests.hold(self.server)
        self.migrate(self.server)
        self.guests.wait_running(self.server)
        self.first = self.migration(self.server)

    def test_the_source_is_detached(self):
        """Its volume stayed attached there for ever."""
        self._delete_server(self.server)
        self.guests.fail(self.server)
        self.wait_for(lambda: self.is_forgotten(self.first))
        self.assertEqual(set(), self.attachments())

    def test_cinder_is_away(self):
        api = self.src.manager.volume_api
        self._delete_server(self.server)
        mend = self.break_(api, 'attachment_get')
        self.guests.fail(self.server)
        self.wait_for(
            lambda: self.src.manager._parts.cleanup.knows(self.first.uuid)
        )
        self.assertFalse(self.is_forgotten(self.first))
        mend()
        self.wait_for(lambda: self.is_forgotten(self.first))
        self.assertEqual(set(), self.attachments())


class MovedOnTestCase(VolumesTestCase):
    """A server goes on, or is deleted, before its source is cleaned up."""

    hosts = ('src', 'dest', 'other')

    def setUp(self):
        super().setUp()
        self.share_no_storage()
        self.cleaned = []
        driver = self.src.manager.driver
        driver.cleanup = lambda *args, **kwargs: self.cleaned.append(
            kwargs['destroy_disks']
        )
        self.mend = self.break_(driver, 'post_live_migration')
        self.migrate(self.server)
        self.first = self.migration(self.server)
        self.assert_on(self.server, 'dest')
        self.assertEqual(['dest', 'src'], self.attached())
        # Nova's fake leaves the guest running.
        connection = driver._host.get_connection()
        connection.lookupByUUIDString(self.server['id']).destroy()

    def move(self, host):
        self.ask_for_migration(self.server, host)
        self.assert_on(self.server, host)
        self.wait_for(
            lambda: self.migration(self.server).status == 'completed'
        )

    def clean_up(self):
        self.mend()
        self.wait_for(lambda: self.is_forgotten(self.first))

    def test_the_source_is_cleaned_up(self):
        """Its directory and the volume's attachment stayed for ever."""
        self.move('other')
        self.assertEqual([], self.cleaned)
        self.clean_up()
        self.assertEqual([True], self.cleaned)
        self.assertEqual(['dest'], self.attached())
        self.assertEqual(1, len(self.attachments()))

    def test_the_server_is_deleted(self):
        self._delete_server(self.server)
        self.clean_up()
        self.assertEqual([True], self.cleaned)
        self.assertEqual([], self.attached())

    def test_the_server_has_come_back(self):
        """What is here is the guest's."""
        self.move('src')
        self.clean_up()
        self.assertEqual([], self.cleaned)

    def test_the_server_comes_back_at_that_instant(self):
        """What its return had prepared would be removed."""
        self.move('other')
        self.mend()
        removal = self.useFixture(
            pause.Paused(
                self.src.manager.volume_api,
                'attachment_delete',
                base.PATIENCE,
            )
        )
        self.in_background(self.retry)
        self.assertTrue(removal.started.wait(base.PATIENCE))
        driver = self.src.manager.driver
        prepare = driver.pre_live_migration
        cleaned_before = []

        def pre_live_migration(*args, **kwargs):
            cleaned_before.append(list(self.cleaned))
            return prepare(*args, **kwargs)

        driver.pre_live_migration = pre_live_migration
        self.ask_for_migration(self.server, 'src')
        lock = lockutils.internal_lock(
            f'nova_throttle-src-{self.server["id"]}'
        )
        self.wait_for(lambda: cleaned_before or lock._cond._waiters)
        removal.proceed.set()
        self.assert_on(self.server, 'src')
        self.assertEqual([[True]], cleaned_before)
        self.assertEqual([True], self.cleaned)
        self.assertEqual(1, len(self.attachments()))

    def test_a_guest_that_is_seen_there_is_left_alone(self):
        self.move('other')
        self.src.manager.driver.see_guest = lambda instance: 'runs'
        self.clean_up()
        self.assertEqual([], self.cleaned)
        self.assertEqual(['dest', 'src'], self.attached())
