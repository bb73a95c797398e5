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

"""What two hosts tell each other about slots, as it crosses the wire.

Each object mirrors one frozen value of the core, field by field. Whoever
changes a field raises the version and says how to make the older one.
"""

from oslo_versionedobjects import fields

from nova_throttle.admission import wire
from nova_throttle.objects import base
from nova_throttle.objects import mirror


@base.ThrottleVersionedObjectRegistry.register
class Item(mirror.Mirror[wire.Item]):
    """One request, as its source tells of it."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    CORE = wire.Item
    SHAPES = {'standing': mirror.word(wire.Standing)}

    fields = {
        'migration_uuid': fields.UUIDField(),
        'instance_uuid': fields.StringField(),
        'standing': fields.EnumField(
            valid_values=[standing.value for standing in wire.Standing]
        ),
        'priority': fields.IntegerField(),
        'arrival': fields.IntegerField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class Ask(mirror.Mirror[wire.Ask]):
    """What a source tells of its requests for a destination."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    CORE = wire.Ask
    SHAPES = {'items': mirror.row(Item)}

    fields = {
        'source': fields.StringField(),
        'incarnation': fields.IntegerField(),
        'serial': fields.IntegerField(),
        'knows': fields.IntegerField(),
        'items': fields.ListOfObjectsField('Item'),
        'complete': fields.BooleanField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class Offer(mirror.Mirror[wire.Offer]):
    """A slot for a request, to be taken or declined at once."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    CORE = wire.Offer

    fields = {
        'migration_uuid': fields.UUIDField(),
        'number': fields.IntegerField(),
        'keep': fields.BooleanField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class Tell(mirror.Mirror[wire.Tell]):
    """What a destination tells a source."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    CORE = wire.Tell
    SHAPES = {
        'offers': mirror.row(Offer),
        'owners': mirror.STRINGS,
        'places': mirror.NUMBERS,
    }

    fields = {
        'destination': fields.StringField(),
        'incarnation': fields.IntegerField(),
        'serial': fields.IntegerField(),
        'answers': fields.IntegerField(),
        'offers': fields.ListOfObjectsField('Offer'),
        'limit': fields.NonNegativeIntegerField(),
        'owners': fields.ListOfStringsField(),
        'places': fields.DictOfIntegersField(),
        'standstill': fields.StringField(),
    }
