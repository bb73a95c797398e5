# SPDX-License-Identifier: Apache-2.0


"""What the audit of Placement takes away from a server that migrates."""

from nova.cmd import manage

from nova_throttle.tests.functional import test_recovery


class AuditTestCase(test_recovery.QueuedTestCase):
    def audit(self):
        """Run nova-manage placement audit --delete, as from cron."""
        self.assertEqual(4, manage.PlacementCommands().audit(delete=True))
        self.assertEqual([], self.allocations(self.b['id']))

    def test_of_a_queued_one_it_is_given_back_at_its_turn(self):
        """Plain Nova moves a server that Placement then knows nothing of."""
        self.audit()
        self.guests.release(self.a)
        self.assert_moved(self.b)

    def test_before_the_destination_prepares(self):
        self.audit()
        self.guests.hold(self.b)
        self.guests.release(self.a)
        self.guests.wait_running(self.b)
        self.assertEqual(['dest'], self.allocations(self.b['id']))

    def test_of_a_running_one_it_is_given_back_when_it_arrives(self):
        self.guests.hold(self.b)
        self.guests.release(self.a)
        self.guests.wait_running(self.b)
        self.wait_status(self.b, 'running')
        self.audit()
        self.guests.release(self.b)
        self.assert_moved(self.b)

    def test_a_destination_without_room_is_not_filled(self):
        self.audit()
        self.set_inventory('dest', 'MEMORY_MB', 1)
        self.guests.release(self.a)
        self.assert_left(self.b, 'error')
        self.assert_fault(self.b, 'allocation')

    def test_an_abort_after_it(self):
        self.audit()
        self.abort(self.b)
        self.assert_left(self.b, 'cancelled')

    def test_both_allocations_are_gone(self):
        """The migration was asked for while the audit ran."""
        self.audit()
        self.placement.delete(f'/allocations/{self.migration(self.b).uuid}')
        self.guests.release(self.a)
        self.assert_moved(self.b)

    def test_both_allocations_are_gone_and_it_is_aborted(self):
        self.audit()
        self.placement.delete(f'/allocations/{self.migration(self.b).uuid}')
        self.abort(self.b)
        self.assert_left(self.b, 'cancelled')

    def test_the_allocation_of_the_source_is_gone(self):
        self.placement.delete(f'/allocations/{self.migration(self.b).uuid}')
        self.guests.hold(self.b)
        self.guests.release(self.a)
        self.guests.wait_running(self.b)
        self.assertEqual(
            ['src'], self.allocations(self.migration(self.b).uuid)
        )
        self.guests.release(self.b)
        self.assert_moved(self.b)

    def test_the_allocation_of_the_source_is_gone_and_it_is_aborted(self):
        self.placement.delete(f'/allocations/{self.migration(self.b).uuid}')
        self.abort(self.b)
        self.assert_left(self.b, 'cancelled')

    def test_placement_was_killed_while_it_wrote_and_it_is_aborted(self):
        self.orphan(self.b)
        self.abort(self.b)
        self.assert_left(self.b, 'cancelled')

    def test_placement_was_killed_while_it_wrote(self):
        self.orphan(self.b)
        self.guests.release(self.a)
        self.assert_moved(self.b)

    def set_inventory(self, host, resource_class, total):
        uuid = self.compute_rp_uuids[host]
        body = self.placement.get(
            f'/resource_providers/{uuid}/inventories'
        ).body
        inventory = body['inventories'][resource_class]
        inventory.update(total=total, reserved=0, max_unit=total)
        self.placement.put(
            f'/resource_providers/{uuid}/inventories',
            {
                'resource_provider_generation': body[
                    'resource_provider_generation'
                ],
                'inventories': body['inventories'],
            },
        )
