# SPDX-License-Identifier: Apache-2.0

"""Options of the service: start, journal, periodic tasks, monitoring."""

from oslo_config import cfg

from nova_throttle.conf import types

ACTIVATION_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        'enabled',
        default=False,
        help="""
Let nova-throttle decide when each live migration of this host may start.

Set it to true on every compute host where the package is installed. When it
is false, nova-compute behaves as if the package were not there.

Related options:

* ``[DEFAULT] max_concurrent_live_migrations`` is the limit of this host's
  outgoing live migrations; ``0`` is unlimited.
""",
    ),
    cfg.BoolOpt(
        'allow_untested_nova',
        default=False,
        help="""
Start even with a Nova release that nova-throttle was not tested with.

By default nova-compute stops with an error then. Set it to true to try a new
release on one host, never on all; a warning is logged at every start.

Related options:

* ``[nova_throttle] enabled``
""",
    ),
]

JOURNAL_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'journal_dir',
        default='$state_path/nova-throttle',
        help="""
The directory of the journal, which keeps the queue across restarts.

It must be on a local disk that survives a reboot and belong to the user that
nova-compute runs as; it is created if missing. Each host has a file of its
own in it. Change it only while nova-compute is stopped, and move the files.

Related options:

* ``[DEFAULT] state_path``
* ``[nova_throttle] on_restart``
""",
    ),
    cfg.StrOpt(
        'on_restart',
        default='continue',
        choices=[
            ('continue', 'they go on from the queue, in their old order'),
            ('cancel', 'they leave the queue; nothing is held for them'),
        ],
        help="""
What becomes of the live migrations that were queued when nova-compute ended.

One that was being prepared when nova-compute was killed is rolled back and
then treated in the same way. Set it to ``cancel`` where an operator or a
drain script asks again after a restart anyway, and before uninstalling.

Related options:

* ``[nova_throttle] journal_dir``
""",
    ),
]

HOUSEKEEPING_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'housekeeping_interval',
        default=60,
        min=1,
        max=3600,
        help="""
Seconds between two looks for what events may have missed.

A slot whose migration is over in the database, although its driver never
said so, is freed at such a look; a clean-up that failed because another
service was down is tried again; and hosts that wait for a word of each other
ask again, in case a message was lost. Nothing waits for it normally:
slots are handed over by events. Lower it only while you look for a problem.
""",
    ),
    cfg.IntOpt(
        'fault_grace_time',
        default=600,
        min=0,
        mutable=True,
        help="""
Seconds for which a start that fails is tried again before the request leaves.

It counts for what may pass by itself before the destination prepares: its
compute service is down, or the conductor, Placement or the hypervisor of this
host does not answer. The request keeps its position in the queue, others go
on meanwhile, and ``nova-throttle queue list`` shows the reason. The time in
which it only waits for a slot does not count. ``0`` lets it leave at once, as
with a plain Nova. Raise it to the longest outage of your control plane that
the queue should outlive.
""",
    ),
    cfg.BoolOpt(
        'repair_leftovers',
        default=True,
        help="""
Take live migrations out that nobody will ever continue.

Such a record of this host is queued or preparing in the database, but no
nova-compute knows it: a plain Nova left it behind when it was killed. Its
server is made ACTIVE again and what the migration holds is given back. A
server whose request was lost before a conductor made such a record is put to
rest too. Set it to false to have each record only reported in the log, at
every look.

Related options:

* ``[nova_throttle] housekeeping_interval``
""",
    ),
]

MONITORING_OPTS: list[cfg.Opt] = [
    cfg.Opt(
        'metrics_bind',
        type=types.AddressType(),
        sample_default='[::]:9979',
        help="""
The address and port at which this host tells Prometheus its metrics.

Unset, the default, it does not listen; ``nova-throttle metrics`` prints the
same without. Whoever reaches the address sees the UUIDs of migrations and
servers that are on the wire, without a password: choose one on the network of
the control plane. An IPv6 address is put in brackets; ``[::]`` is all
addresses of both kinds, ``0.0.0.0`` all of IPv4. It needs the library
prometheus_client, which ``nova-throttle[metrics]`` installs.
""",
    ),
    cfg.BoolOpt(
        'send_notifications',
        default=False,
        help="""
Send versioned notifications of live migrations that Nova has none for.

They say when one is queued, when it is admitted, and when it is prepared and
waits for the network link: ``instance.live_migration_queued``,
``instance.live_migration_admitted`` and
``instance.live_migration_waiting_for_link``. Set it to true if something of
yours reads Nova's notifications.

Related options:

* ``[notifications] notification_format`` must be ``versioned`` or ``both``.
* ``[oslo_messaging_notifications]`` says where they go.
""",
    ),
]
