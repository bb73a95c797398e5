# SPDX-License-Identifier: Apache-2.0

"""Who changed what: one INFO line for each change by an operator."""

from typing import Any

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


def user_of(ctxt: Any) -> str:
    """Return who sent a message, as far as it says so, in one line."""
    user = getattr(ctxt, 'user_name', None) or ctxt.user_id or 'unknown'
    return ' '.join(str(user).split())


def note(ctxt: Any, what: str) -> None:
    """Log what was changed, and who has done it.

    :param ctxt: the request context that it came with.
    """
    LOG.info(
        '%(what)s (request %(request)s, user %(user)s)',
        {'what': what, 'request': ctxt.request_id, 'user': user_of(ctxt)},
    )
