# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

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
