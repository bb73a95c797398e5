# SPDX-License-Identifier: Apache-2.0

"""What can fail: how each fault begins, and how it is healed.

Healing is safe at any time and as often as one likes: it starts what does not
run, lets go on what stands still, and connects what is not connected.
"""

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import signal

from labkit.cloud import ApiError
from labkit.cloud import Cloud
from labkit import computes
from labkit import control
from labkit import hosts as lab_hosts
from labkit import network
from labkit.plan import CONTROL
from labkit.plan import Plan
from labkit import shell

Step = Callable[[Plan, Sequence[str]], None]
# The conductor's workers have the name alone in their titles.
COMPUTE, CONDUCTOR = 'bin/nova-compute', 'nova-conductor'
PAUSE, RESUME = signal.SIGSTOP, signal.SIGCONT


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault.

    :param on: on how many compute hosts; 0 is the control plane.
    :param begin: make it, on these compute hosts.
    :param heal: end it there.
    """

    on: int
    begin: Step
    heal: Step


def _of_control(
    begin: Callable[[Plan], None], heal: Callable[[Plan], None]
) -> Fault:
    return Fault(
        0, lambda plan, _hosts: begin(plan), lambda plan, _hosts: heal(plan)
    )


def _of_computes(
    on: int,
    begin: Callable[[Plan, str], None],
    heal: Callable[[Plan, str], None],
) -> Fault:
    def on_each(step: Callable[[Plan, str], None]) -> Step:
        def each(plan: Plan, names: Sequence[str]) -> None:
            for host in names:
                step(plan, host)

        return each

    return Fault(on, on_each(begin), on_each(heal))


def _api(name: str) -> Fault:
    return _of_control(
        lambda plan: control.kill_api(plan, name),
        lambda plan: control.start_api(plan, name),
    )


def _freeze_control(word: str) -> Fault:
    return _of_control(
        functools.partial(_pause, word), functools.partial(_go_on, word)
    )


def _go_on(word: str, plan: Plan, host: str = CONTROL) -> None:
    lab_hosts.kill(plan, host, word, number=RESUME)


def _pause(word: str, plan: Plan, host: str = CONTROL) -> None:
    lab_hosts.kill(plan, host, word, number=PAUSE)


def _unplug(name: str) -> Fault:
    return _of_computes(
        1,
        lambda plan, host: network.switch(plan, host, name, 'down'),
        lambda plan, host: network.switch(plan, host, name, 'up'),
    )


def _kill(on: int) -> Fault:
    return _of_computes(on, computes.kill, computes.start)


def _freeze(on: int) -> Fault:
    return _of_computes(
        on,
        functools.partial(_pause, COMPUTE),
        functools.partial(_go_on, COMPUTE),
    )


FAULTS = {
    'bus killed': _of_control(control.stop_bus, control.start_bus),
    'conductor killed': _of_control(
        lambda plan: lab_hosts.kill(plan, CONTROL, CONDUCTOR),
        lambda plan: control.start_worker(plan, 'nova-conductor'),
    ),
    'conductor frozen': _freeze_control(CONDUCTOR),
    'API killed': _api('nova'),
    'Placement killed': _api('placement'),
    'Neutron killed': _api('neutron'),
    'database stopped': _of_control(
        control.stop_database,
        functools.partial(control.start_database, fresh=False),
    ),
    'database frozen': _freeze_control('mariadbd'),
    'management network cut': _unplug('mgmt'),
    'migration network cut': _unplug('mig'),
    'libvirtd stopped': _of_computes(
        1, computes.stop_libvirtd, computes.start_host
    ),
    'nova-compute frozen': _freeze(1),
    'nova-compute killed': _kill(1),
    'nova-compute terminated': _of_computes(
        1, computes.terminate, computes.start
    ),
    # Of a migration, if there is one when its time comes.
    'source and destination frozen': _freeze(2),
    'source and destination killed': _kill(2),
}


def restart_dead(plan: Plan, spared: Sequence[str]) -> None:
    """Start services that ended by themselves, as an init system does.

    :param spared: hosts that a fault is on now.
    """
    with contextlib.suppress(shell.LabError):
        for host in set(plan.compute_hosts) - set(spared):
            computes.start_host(plan, host)
            computes.start(plan, host)
        if CONTROL not in spared:
            for name in control.APIS:
                control.start_api(plan, name)
            for name in control.WORKERS:
                control.start_worker(plan, name)


def heal_all(plan: Plan, cloud: Cloud) -> None:
    """Heal everything, whatever happened to it, and wait until all runs.

    What is started while something that it needs is still away may end
    again, so all of it is looked at until every nova-compute has reported.

    :raises LabError: not within the time.
    """
    begin = computes.now()

    def healthy() -> bool:
        with contextlib.suppress(ApiError, shell.LabError):
            for fault in FAULTS.values():
                fault.heal(plan, plan.compute_hosts)
            control.start_services(plan)
            return computes.have_reported(cloud, plan.compute_hosts, begin)
        return False

    shell.wait_for('end of all faults', healthy, computes.PATIENCE, every=2)
