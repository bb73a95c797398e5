# SPDX-License-Identifier: Apache-2.0

"""Facts of a host, in few words."""

import datetime

from nova_throttle.drain import course
from nova_throttle.drain import facts
from nova_throttle.drain import progress

NOW = datetime.datetime(2026, 11, 26, 3, 0, tzinfo=datetime.timezone.utc)


def at(minutes):
    return NOW + datetime.timedelta(minutes=minutes)


def server(name, **more):
    more = {'memory': 1024, **more}
    return facts.Server(uuid=f'uuid-{name}', name=name, host='src', **more)


def migration(name, status, number=1, begin=0, end=0, **more):
    return facts.Migration(
        **{
            'id': number,
            'uuid': f'migration-{number}',
            'server': f'uuid-{name}',
            'kind': facts.LIVE,
            'source': 'src',
            'destination': 'dest',
            'status': status,
            'created': at(begin),
            'updated': at(end),
            **more,
        }
    )


def host(*servers, migrations=(), **more):
    return facts.Facts(
        **{
            'service': facts.Service(
                'id', 'src', enabled=False, reason='drain: T'
            ),
            'servers': servers,
            'migrations': migrations,
            'unconfirmed': (),
            'at': NOW,
            'others': ('d1', 'd2'),
            **more,
        }
    )


def measure(found, pace=None):
    """Measure as somebody does who has not run the drain."""
    return progress.measure(
        found, course.of_records(found).to_come(found), pace
    )
