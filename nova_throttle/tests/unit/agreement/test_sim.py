# SPDX-License-Identifier: Apache-2.0

"""The rules hold between hosts, on a good bus and on a bad one.

A few seeds of what ``tox -e sim`` runs at any size. Each case is the same in
every run; a violation names its rule.
"""

import hypothesis
from hypothesis import strategies
import testtools

from nova_throttle.tests.sim import __main__ as command
from nova_throttle.tests.sim import loop
from nova_throttle.tests.sim import report
from nova_throttle.tests.sim import scenario
from nova_throttle.tests.sim import world as world_lib


# One source, and 16 hosts that are cut off.
# No slow check finds anything meanwhile.
SILENT = {
    'hosts': 18,
    'mute': 16,
    'requests': 34,
    'span': 300.0,
    'interval': 600.0,
}


class Behind(world_lib.World):
    """Twice, the last request is behind one to each silent host."""

    def _add_requests(self):
        names = list(self.hosts)
        for arrival in range(1, self.scenario.requests + 1):
            migration = self._make(arrival)
            number = arrival % 17
            migration.source = names[0]
            # The last ones are silent.
            migration.destination = names[number + 1 if number else 1]
            self.unsettled.add(migration)
            wave = (arrival - 1) // 17
            self.loop.after(150.0 * wave, self._submit, migration)

    def delays(self):
        """Return how long it took until the healthy one had its offer."""
        return [
            migration.offered_at - migration.submitted
            for migration in self.migrations.values()
            if migration.destination == 'h1'
        ]


class Restarted(world_lib.World):
    """A destination of many sources, most of them silent, restarts."""

    # When it does, which is before all is calm.
    RESTART = 100.0

    def _add_requests(self):
        names = list(self.hosts)
        # The last ones are silent; the second one is the destination.
        sources = [names[0], *names[2:]]
        for arrival in range(1, self.scenario.requests + 1):
            migration = self._make(arrival)
            migration.source = sources[arrival % len(sources)]
            migration.destination = names[1]
            self.unsettled.add(migration)
            self.loop.after(0, self._submit, migration)
        self.loop.after(self.RESTART, self._restart, self.hosts[names[1]])
        self.opened = self.heard = None

    def _restart(self, host):
        host.kill()
        host.start()
        self.touch(host)
        self._watch(host)

    def _watch(self, host):
        """Note when it has an answer, and when it gives slots again."""
        incoming = host.destination.incoming
        if self.heard is None and incoming._heard:
            self.heard = self.loop.now
        if incoming.counts:
            self.loop.after(0.1, self._watch, host)
        else:
            self.opened = self.loop.now


class SimulationTestCase(testtools.TestCase):
    """Each test runs small fleets until all is served and settled."""

    def run_fleet(self, **options):
        fleet = world_lib.World(scenario.Scenario(**options))
        try:
            fleet.run()
        except loop.Violation as error:
            trace = '\n'.join(report.trace(fleet))
            self.fail(f'{fleet.scenario}: {error}\n{trace}')
        return fleet

    def run_fleets(self, seeds, **options):
        for seed in range(seeds):
            self.run_fleet(seed=seed, **options)

    def test_uncontended_costs_three_messages(self):
        fleet = self.run_fleet(requests=60, span=6000)
        sent = sum(fleet.bus.sent.values())
        self.assertEqual(60, fleet.referee.starts['offer'])
        self.assertLessEqual(sent, 4 * 60)

    def test_hand_over_takes_one_message(self):
        fleet = self.run_fleet(hosts=30, hot=1, requests=150)
        latencies = {
            round(delay / fleet.scenario.latency, 3)
            for delay in fleet.referee.delays
        }
        self.assertEqual({1.0}, latencies)

    def test_two_sources_and_two_destinations(self):
        """All four may wait for each other, in each direction."""
        self.run_fleets(20, hosts=4, hot=2, requests=80, span=100, incoming=1)

    def test_ring(self):
        """Each host is source and destination, with a slot of each."""
        self.run_fleets(10, hosts=5, requests=100, span=60, incoming=1)

    def test_nobody_starves_behind_a_stream_to_free_hosts(self):
        """A request to a busy host gets its turn long before the end."""
        fleet = self.run_fleet(
            hosts=12, hot=1, requests=500, span=3000, incoming=1
        )
        self.assertLess(report.most_overtaken(fleet), 40)

    def test_priorities(self):
        self.run_fleets(5, hosts=8, requests=150, span=150, priorities=3)

    def test_lossy_bus(self):
        self.run_fleets(6, hosts=8, requests=100, span=300, loss=0.2)

    def test_doubled_and_late_messages(self):
        self.run_fleets(
            6, hosts=8, requests=100, span=300, double=0.3, slow=0.3
        )

    def test_hosts_die_and_return(self):
        self.run_fleets(6, hosts=8, requests=100, span=400, crashes=25)

    def test_rolling_upgrade_and_downgrade(self):
        self.run_fleets(6, hosts=8, requests=100, span=400, plain=4, swaps=15)

    def test_limits_cancels_and_pauses(self):
        self.run_fleets(
            6,
            hosts=8,
            requests=100,
            span=400,
            resizes=30,
            cancels=30,
            pauses=15,
        )

    def test_priorities_that_change_and_holds(self):
        self.run_fleets(5, hosts=8, requests=120, span=150, changes=80)

    def test_priorities_that_change_and_faults(self):
        self.run_fleets(
            5,
            hosts=5,
            requests=80,
            span=300,
            changes=60,
            loss=0.05,
            slow=0.1,
            crashes=10,
            cancels=10,
            pauses=10,
            link=1,
        )

    def test_two_stages(self):
        self.run_fleets(
            6, hosts=6, requests=80, span=100, outgoing=2, link=1, cancels=10
        )

    def test_two_stages_and_faults(self):
        self.run_fleets(
            10,
            hosts=6,
            requests=80,
            span=400,
            outgoing=2,
            link=1,
            loss=0.05,
            slow=0.1,
            double=0.05,
            crashes=12,
            pauses=8,
            cancels=8,
        )

    def test_two_gates_elsewhere(self):
        """A destination's and one of all: each scarce, each needed."""
        self.run_fleets(10, hosts=6, requests=80, span=100, incoming=1, rack=2)

    def test_two_gates_elsewhere_and_two_stages_and_faults(self):
        self.run_fleets(
            12,
            hosts=6,
            requests=80,
            span=400,
            outgoing=2,
            rack=3,
            link=1,
            loss=0.05,
            slow=0.1,
            double=0.05,
            crashes=10,
            cancels=10,
            priorities=2,
        )

    def test_everything_at_once(self):
        self.run_fleets(
            25,
            hosts=5,
            requests=100,
            span=400,
            loss=0.05,
            double=0.05,
            slow=0.15,
            crashes=20,
            plain=1,
            swaps=4,
            resizes=10,
            cancels=10,
            pauses=10,
            backward=0.3,
            priorities=2,
        )

    @hypothesis.settings(
        deadline=None,
        derandomize=True,
        max_examples=60,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        strategies.fixed_dictionaries(
            {
                'seed': strategies.integers(0, 2**32),
                'hosts': strategies.integers(2, 7),
                'requests': strategies.integers(1, 60),
                'span': strategies.integers(10, 400),
                'incoming': strategies.integers(1, 3),
                'priorities': strategies.integers(1, 3),
                'loss': strategies.sampled_from([0, 0.05, 0.3]),
                'slow': strategies.sampled_from([0, 0.2]),
                'double': strategies.sampled_from([0, 0.3]),
                'crashes': strategies.integers(0, 10),
                'cancels': strategies.integers(0, 10),
            }
        )
    )
    def test_any_fleet_serves_all_and_leaks_nothing(self, options):
        """Nobody starves, and no rule breaks, in whatever fleet."""
        self.run_fleet(**options)

    def test_a_healthy_host_behind_silent_ones_is_asked_at_once(self):
        fleet = Behind(scenario.Scenario(**SILENT))
        fleet.run()
        self.assertLess(max(fleet.delays()), 1)

    def test_hosts_that_were_silent_share_few_senders(self):
        fleet = Behind(scenario.Scenario(senders=8, silent=4, **SILENT))
        fleet.run()
        first, second = fleet.delays()
        self.assertLess(second, 1)

    def test_without_enough_senders_it_is_asked_after_two_timeouts(self):
        """The simulation has the limits of the adapters, and can see it."""
        fleet = Behind(scenario.Scenario(senders=8, silent=8, **SILENT))
        fleet.run()
        timeout = fleet.scenario.timeout
        self.assertLess(2 * timeout - 1, fleet.delays()[0])

    def restart(self, count, **options):
        """Restart a destination of one source that answers.

        :param count: of its silent sources.
        :returns: seconds until it gives slots again.
        """
        fleet = Restarted(
            scenario.Scenario(
                hosts=count + 2,
                mute=count,
                requests=2 * (count + 1),
                span=300.0,
                duration=150.0,
                interval=600.0,
                **options,
            )
        )
        fleet.run()
        self.heard = fleet.heard - fleet.RESTART
        return fleet.opened - fleet.RESTART

    def test_the_gate_of_a_restarted_host_opens_after_one_time_out(self):
        """However many of its sources are silent."""
        for count in (1, 16, 100):
            self.assertLess(self.restart(count), 30 + 5 + 1)

    def test_it_opens_at_once_if_all_answer(self):
        self.assertLess(self.restart(0), 1)

    def test_its_healthy_source_is_asked_at_once(self):
        self.restart(16)
        self.assertLess(self.heard, 1)

    def test_with_fewer_senders_than_silent_sources_it_opens_too(self):
        self.assertLess(self.restart(16, senders=8, silent=8), 30 + 5 + 1)

    def test_same_seed_same_steps(self):
        options = {'requests': 100, 'loss': 0.1, 'crashes': 5, 'seed': 3}
        first = self.run_fleet(**options)
        second = self.run_fleet(**options)
        self.assertEqual(first.loop.tail, second.loop.tail)
        self.assertEqual(first.bus.sent, second.bus.sent)

    def test_violation_is_seen(self):
        """A gate that gives one slot too many does not pass."""
        fleet = world_lib.World(scenario.Scenario(hosts=4, span=60))
        for host in fleet.hosts.values():
            host.destination.incoming.resize('destination', 3)
        self.assertRaises(loop.Violation, fleet.run)

    def test_command_line(self):
        options = command.parse(['--hosts', '7', '--down-time', '9'])
        self.assertEqual((7, 9.0), (options.hosts, options.down_time))
