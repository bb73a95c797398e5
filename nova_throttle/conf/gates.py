# SPDX-License-Identifier: Apache-2.0

"""Options of gates: of what comes here, of the link, and of the cluster."""

from oslo_config import cfg

from nova_throttle.conf import types

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
        type=types.Transfers(),
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
        type=types.Transfers(),
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
