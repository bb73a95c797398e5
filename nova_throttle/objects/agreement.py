# SPDX-License-Identifier: Apache-2.0

"""What two hosts tell each other about slots, as it crosses the messages.

Each object mirrors one frozen value of the core, field by field. Whoever
changes a field raises the version and says how to make the older one.
"""

from oslo_versionedobjects import fields

from nova_throttle.agreement import messages
from nova_throttle.objects import base
from nova_throttle.objects import core_object


@base.ThrottleVersionedObjectRegistry.register
class Item(core_object.CoreObject[messages.Item]):
    """One request, as its source tells of it."""

    # Version 2.0: With the name of the gate
    VERSION = '2.0'
    CORE = messages.Item
    SHAPES = {'standing': core_object.word(messages.Standing)}

    fields = {
        'migration_uuid': fields.UUIDField(),
        'instance_uuid': fields.StringField(),
        'gate': fields.StringField(),
        'standing': fields.EnumField(
            valid_values=[standing.value for standing in messages.Standing]
        ),
        'priority': fields.IntegerField(),
        'arrival': fields.IntegerField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class Ask(core_object.CoreObject[messages.Ask]):
    """What a source tells of its requests for a destination."""

    # Version 2.0: With the name of the gate
    VERSION = '2.0'
    CORE = messages.Ask
    SHAPES = {'items': core_object.row(Item)}

    fields = {
        'source': fields.StringField(),
        'incarnation': fields.IntegerField(),
        'serial': fields.IntegerField(),
        'knows': fields.IntegerField(),
        'items': fields.ListOfObjectsField('Item'),
        'complete': fields.BooleanField(),
        'transfers': fields.NonNegativeIntegerField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class Offer(core_object.CoreObject[messages.Offer]):
    """A slot for a request, to be taken or declined at once."""

    # Version 2.0: With the name of the gate
    VERSION = '2.0'
    CORE = messages.Offer

    fields = {
        'migration_uuid': fields.UUIDField(),
        'gate': fields.StringField(),
        'number': fields.IntegerField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class GateNews(core_object.CoreObject[messages.Gate]):
    """What is true of one gate of a destination."""

    # Version 2.0: Initial version
    VERSION = '2.0'
    CORE = messages.Gate
    SHAPES = {'owners': core_object.STRINGS, 'positions': core_object.NUMBERS}

    fields = {
        'name': fields.StringField(),
        'limit': fields.NonNegativeIntegerField(),
        'owners': fields.ListOfStringsField(),
        'positions': fields.DictOfIntegersField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class Tell(core_object.CoreObject[messages.Tell]):
    """What a destination tells a source."""

    # Version 2.0: With the name of the gate
    VERSION = '2.0'
    CORE = messages.Tell
    SHAPES = {
        'offers': core_object.row(Offer),
        'gates': core_object.row(GateNews),
    }

    fields = {
        'destination': fields.StringField(),
        'incarnation': fields.IntegerField(),
        'serial': fields.IntegerField(),
        'answers': fields.IntegerField(),
        'heard': fields.IntegerField(),
        'offers': fields.ListOfObjectsField('Offer'),
        'gates': fields.ListOfObjectsField('GateNews'),
        'standstill': fields.StringField(),
    }
