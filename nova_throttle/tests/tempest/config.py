# SPDX-License-Identifier: Apache-2.0

"""Options of the plugin: what a test can't see through the API."""

from oslo_config import cfg

GROUP = cfg.OptGroup('nova_throttle', title='nova-throttle')

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'source_limit',
        default=1,
        min=0,
        help='max_concurrent_live_migrations of every compute host, 0 for '
        'unlimited. The same on all of them.',
    ),
    cfg.IntOpt(
        'destination_limit',
        default=0,
        min=0,
        help='[nova_throttle] max_incoming_live_migrations of every compute '
        'host, 0 for unlimited. The same on all of them.',
    ),
    cfg.IntOpt(
        'timeout',
        default=600,
        min=1,
        help='Seconds in which servers boot, and in which all live '
        'migrations of a test end.',
    ),
    cfg.FloatOpt(
        'interval',
        default=0.5,
        min=0.1,
        help='Seconds between two looks at the migrations. Shorter than a '
        'migration takes.',
    ),
]
