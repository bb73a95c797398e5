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

"""The source's last message, if it comes after the source gave up on it.

It waits on the bus while this nova-compute is down, longer than the source
waits for an answer. By then the server is here and at rest in the database,
which Nova's handler of the message does not expect.
"""

from typing import Any

from nova.compute import task_states
from nova.compute import vm_states
from nova import exception as nova_exception
from nova import objects
from oslo_log import log as logging

from nova_throttle.compute import present

LOG = logging.getLogger(__name__)


# A plain Nova at the source leaves it in ERROR, though it runs.
_RUNS = (vm_states.ACTIVE, vm_states.PAUSED, vm_states.ERROR)


def make_ready(host: str, context: Any, instance: Any) -> bool:
    """Make the database what Nova expects of one that has just arrived.

    :param host: this host.
    :param instance: the instance as the message has it.
    :returns: whether there is anything left to do for it here.
    """
    try:
        found = objects.Instance.get_by_uuid(context, instance.uuid)
        comes = present.comes_to(context, found, host)
    except Exception:
        # Nova knows best: most likely the message is in time.
        LOG.warning(
            'Cannot tell whether a live migration is finished late',
            instance=instance,
            exc_info=True,
        )
        return True
    migrates = found.task_state == task_states.MIGRATING
    if not comes and (migrates or found.host != host):
        LOG.warning(
            'That a live migration has arrived here is old news: the server '
            'is on %s, with the task state %s',
            found.host,
            found.task_state,
            instance=found,
        )
        return False
    if migrates:
        return True
    if found.task_state is not None or found.vm_state not in _RUNS:
        return False
    found.task_state = task_states.MIGRATING
    try:
        found.save(expected_task_state=[None])
    except nova_exception.UnexpectedTaskStateError:
        return False  # somebody does something with it
    LOG.info(
        'The source did not wait until this host finished the live '
        'migration; that is done now',
        instance=found,
    )
    return True
