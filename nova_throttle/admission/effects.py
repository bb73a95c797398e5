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

"""What has to be done, once the lock is not held any more.

The admission decides and calls nobody: each change returns what follows from
it, as a frozen value.
"""

from typing import NamedTuple

from nova_throttle.admission import request as request_lib


class Grant(NamedTuple):
    """A request has all slots of a stage: it starts.

    :param request: the request.
    :param stage: the stage's name.
    :param ticket: of this stage; it is running.
    """

    request: request_lib.Request
    stage: str
    ticket: request_lib.Ticket


class End(NamedTuple):
    """A ticket is over.

    :param error: what ended it, if it failed.
    """

    ticket: request_lib.Ticket
    error: BaseException | None


class Effects(NamedTuple):
    """What is to be done, in this order.

    :param start: what starts. One at a time: what is admitted has to be
        started, so a row of them could not be stopped any more. More may
        start when this has: ask again.
    :param ended: tickets whose slots were given back.
    :param tell: hosts that have to be told something.
    """

    start: Grant | None = None
    ended: tuple[End, ...] = ()
    tell: tuple[str, ...] = ()


NOTHING = Effects()
