# SPDX-License-Identifier: Apache-2.0

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
