# SPDX-License-Identifier: Apache-2.0

"""The options of [nova_throttle].

Nothing here reads a global configuration: whoever has one passes it in.
"""

from typing import Any
from typing import NamedTuple

from oslo_config import cfg
from oslo_config import types
from oslo_utils import netutils

from nova_throttle import exception

AUTO = 'auto'


class Transfers(types.Integer):
    """A number of transfers, or that it is to be found out."""

    def __init__(self) -> None:
        super().__init__(min=0, type_name='number or auto')

    def __call__(self, value: Any) -> Any:
        """Return a number, or AUTO.

        :raises ValueError: if it is neither.
        """
        if value == AUTO:
            return AUTO
        try:
            return super().__call__(value)
        except ValueError as error:
            raise ValueError(
                f'{value!r} is neither a number from 0 nor {AUTO}'
            ) from error

    def _formatter(self, value: Any) -> str:
        return str(value)


GROUP = cfg.OptGroup(
    'nova_throttle',
    title='Live-migration admission control',
    help='Options of nova-throttle, read by nova-compute only.',
)

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

INCOMING_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'max_incoming_live_migrations',
        default=2,
        min=0,
        mutable=True,
        help="""
The number of live migrations that this host receives at a time.

However many hosts send to this one, each further live migration waits on its
source until this host has a slot for it, and nothing else waits behind it.
``0`` is unlimited. Raise it where the host's network and disks take more than
two incoming copies at full speed; ``1`` suits a narrow link.

A source without nova-throttle does not ask; what it sends is counted.

Related options:

* ``[DEFAULT] max_concurrent_live_migrations`` is the limit of the source.
* ``[nova_throttle] max_incoming_queue``
""",
    ),
    cfg.IntOpt(
        'max_incoming_queue',
        min=0,
        mutable=True,
        help="""
The number of live migrations that may wait for this host before it declines.

When all slots of this host are taken and so many wait already, it answers
no to Nova's check of a destination that the scheduler chose, and the
scheduler chooses another. Unset, the default, it never declines: all wait.
``0`` means that none may wait. Set it where any host will do, such as in a
drain without named destinations.

A request that names its host without the scheduler (forced, or with an API
microversion before 2.30) is queued in any case. With 2.30 or later a named
host can't be told from a chosen one: such a request fails with "no valid
host" instead.

Related options:

* ``[nova_throttle] max_incoming_live_migrations``
""",
    ),
    cfg.IntOpt(
        'peer_retry_interval',
        default=600,
        min=1,
        mutable=True,
        help="""
Seconds for which a destination without a gate is not asked for slots again.

Such a host runs no nova-throttle, or a version of it that has no gate for
incoming live migrations: what is sent there needs no slot of it. Lower it
while the package is rolled out.
""",
    ),
]

TRANSFER_OPTS: list[cfg.Opt] = [
    cfg.Opt(
        'max_outgoing_transfers',
        type=Transfers(),
        default=0,
        mutable=True,
        help="""
The number of live migrations whose guests leave this host at a time.

Of those in progress, so many have the network link; each other one has its
destination prepare, and then waits for its turn. It gives the link away when
the last byte of its guest has been sent, before anything is cleaned up. So a
limit on what is in progress that is higher than this one hides preparation
and clean-up behind the transfer of others, and no guest has to share the link
with more than this number.

``auto`` is right wherever the driver is libvirt. The number is found out by
what is measured: it is ``1`` where one transfer fills the link, and more, up
to ``8``, only while more are carried with it. The next one starts early, at 1
MiB/s, while another one ends, so that the link does not idle while that
starts; and a guest that writes faster than it is sent lets others go first,
and has longer turns later. Set the limit on what is in progress to ``4``, or
to ``8`` on links faster than 10 Gbit/s.

``0``, the default, does not limit it: all that are in progress transfer at the
same time. A number is kept as it is, and nobody starts early or gives way.

Related options:

* ``[DEFAULT] max_concurrent_live_migrations`` is the limit on what is in
  progress.
* ``[nova_throttle] max_incoming_transfers``
""",
    ),
    cfg.Opt(
        'max_incoming_transfers',
        type=Transfers(),
        default=0,
        mutable=True,
        help="""
The number of live migrations whose guests come to this host at a time.

However many hosts have prepared one for this host, so many send at the same
time; each other one waits on its source, prepared, for its turn. ``0``, the
default, does not limit it, and then nobody asks for it. With ``auto`` it is
the greatest number that one of the sources which have one for this host has
found to be right for its own link.

A source without nova-throttle does not ask; what it sends is counted.

Related options:

* ``[nova_throttle] max_incoming_live_migrations`` is the limit on what is in
  progress.
* ``[nova_throttle] max_outgoing_transfers``
""",
    ),
]

SHARED_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'gate_unreachable',
        default='wait',
        choices=[
            ('wait', 'they wait until Placement answers'),
            ('start', 'they start, and are not counted'),
        ],
        mutable=True,
        help="""
What live migrations do that need a slot of a gate of the cloud while Placement
does not answer.

The gates that ``nova-throttle gate create`` makes are kept in Placement. By
default nothing starts that one of them limits until Placement answers, so that
no limit is ever exceeded. Set it to ``start`` where a drain may not wait for
Placement; the limits of the hosts themselves count in any case. What no such
gate limits starts anyhow, unless this host could not read the gates since it
was started.
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
server is made ACTIVE again and what the migration holds is given back. Set it
to false to have each one only reported in the log, at every look.

Related options:

* ``[nova_throttle] housekeeping_interval``
""",
    ),
]


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class AddressType(types.ConfigType):
    """The type of an option that is a host and a port."""

    def __init__(self) -> None:
        super().__init__(type_name='host:port value')

    def __call__(self, value: Any) -> Address:
        """Make an address of a text.

        :raises ValueError: if it is none.
        """
        if isinstance(value, Address):
            return value
        host, _, port = str(value).rpartition(':')
        bare = host.removeprefix('[').removesuffix(']')
        is_bare = ':' in host and bare == host
        valid = port.isdecimal() and netutils.is_valid_port(int(port))
        if not bare or is_bare or not valid:
            raise ValueError('must be a host and a port, such as [::]:9979')
        return Address(bare, int(port))

    def _formatter(self, value: Any) -> str:
        return str(value)


MONITORING_OPTS: list[cfg.Opt] = [
    cfg.Opt(
        'metrics_bind',
        type=AddressType(),
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

ALL_OPTS: list[cfg.Opt] = [
    *ACTIVATION_OPTS,
    *INCOMING_OPTS,
    *TRANSFER_OPTS,
    *SHARED_OPTS,
    *JOURNAL_OPTS,
    *HOUSEKEEPING_OPTS,
    *MONITORING_OPTS,
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Make our options known to a configuration; twice is harmless.

    :param conf: the configuration of the process.
    """
    conf.register_group(GROUP)
    conf.register_opts(ALL_OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return our options for the sample generator and the validator."""
    return [(GROUP, ALL_OPTS)]


def read(
    conf: cfg.ConfigOpts,
    name: str,
    group: str | None = None,
    *,
    may_be_unset: bool = False,
) -> Any:
    """Read one option.

    :param conf: the configuration of the process.
    :param group: of the option; None is ``[DEFAULT]``.
    :param may_be_unset: whether it may have no value.
    :raises InvalidOption: if it has no value, or a bad one.
    """
    option = f'[{group or "DEFAULT"}] {name}'
    try:
        value = getattr(conf[group] if group else conf, name)
    except (ValueError, cfg.Error) as error:
        reason = ' '.join(str(error).split())
        raise exception.InvalidOption(option=option, reason=reason) from error
    if value in (None, '') and not may_be_unset:
        raise exception.InvalidOption(option=option, reason='it has no value')
    return value


def read_all(conf: cfg.ConfigOpts) -> int:
    """Read each option that we use.

    :returns: the limit of outgoing live migrations.
    :raises InvalidOption: if one can't be read.
    """
    register_opts(conf)
    for opt in ALL_OPTS:
        read(conf, opt.dest, GROUP.name, may_be_unset=opt.default is None)
    limit: int = read(conf, 'max_concurrent_live_migrations')
    return limit
