# SPDX-License-Identifier: Apache-2.0

"""That the queue of a host is paused, on disk and on the wire."""

from oslo_versionedobjects import fields

from nova_throttle.objects import base


@base.ThrottleVersionedObjectRegistry.register
class Pause(base.ThrottleObject):
    """Why the queue of a host is paused, since when, and by whom."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        # What the operator said; may be empty.
        'reason': fields.StringField(),
        'since': fields.DateTimeField(),
        'request_id': fields.StringField(nullable=True),
        'user': fields.StringField(),
    }
