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


@base.ThrottleVersionedObjectRegistry.register
class Item(base.ThrottleObject):
    """One request, as its source tells of it."""

    # Version 1.0: Initial version
    VERSION = '1.0'

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
class Ask(base.ThrottleObject):
    """What a source tells of its requests for a destination."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'source': fields.StringField(),
        'incarnation': fields.IntegerField(),
        'serial': fields.IntegerField(),
        'knows': fields.IntegerField(),
        'items': fields.ListOfObjectsField('Item'),
        'complete': fields.BooleanField(),
    }

    @classmethod
    def from_core(cls, value: wire.Ask) -> 'Ask':
        """Make an object of the core's value."""
        return cls(
            source=value.source,
            incarnation=value.incarnation,
            serial=value.serial,
            knows=value.knows,
            items=[
                Item(
                    migration_uuid=item.migration_uuid,
                    instance_uuid=item.instance_uuid,
                    standing=item.standing.value,
                    priority=item.priority,
                    arrival=item.arrival,
                )
                for item in value.items
            ],
            complete=value.complete,
        )

    def to_core(self) -> wire.Ask:
        """Return the core's value."""
        return wire.Ask(
            source=self.source,
            incarnation=self.incarnation,
            serial=self.serial,
            knows=self.knows,
            items=tuple(
                wire.Item(
                    item.migration_uuid,
                    item.instance_uuid,
                    wire.Standing(item.standing),
                    item.priority,
                    item.arrival,
                )
                for item in self.items
            ),
            complete=self.complete,
        )


@base.ThrottleVersionedObjectRegistry.register
class Offer(base.ThrottleObject):
    """A slot for a request, to be taken or declined at once."""

    # Version 1.0: Initial version
    VERSION = '1.0'

    fields = {
        'migration_uuid': fields.UUIDField(),
        'number': fields.IntegerField(),
        'keep': fields.BooleanField(),
    }


@base.ThrottleVersionedObjectRegistry.register
class Tell(base.ThrottleObject):
    """What a destination tells a source."""

    # Version 1.0: Initial version
    VERSION = '1.0'

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

    @classmethod
    def from_core(cls, value: wire.Tell) -> 'Tell':
        """Make an object of the core's value."""
        return cls(
            destination=value.destination,
            incarnation=value.incarnation,
            serial=value.serial,
            answers=value.answers,
            offers=[
                Offer(
                    migration_uuid=offer.migration_uuid,
                    number=offer.number,
                    keep=offer.keep,
                )
                for offer in value.offers
            ],
            limit=value.limit,
            owners=list(value.owners),
            places=dict(value.places),
            standstill=value.standstill,
        )

    def to_core(self) -> wire.Tell:
        """Return the core's value."""
        return wire.Tell(
            destination=self.destination,
            incarnation=self.incarnation,
            serial=self.serial,
            answers=self.answers,
            offers=tuple(
                wire.Offer(each.migration_uuid, each.number, each.keep)
                for each in self.offers
            ),
            limit=self.limit,
            owners=tuple(self.owners),
            places=tuple(self.places.items()),
            standstill=self.standstill,
        )
