# SPDX-License-Identifier: Apache-2.0

"""A live migration that was accepted, as it is kept on disk.

An entry holds what Nova stores nowhere, and never a token or a password:
whatever its creator puts in, only a known identity and scrubbed data stay.
"""

from collections.abc import Mapping
import json
import re
from typing import Any

from oslo_utils import timeutils
from oslo_versionedobjects import fields

from nova_throttle import lifecycle
from nova_throttle.objects import base

# Who asked, for logs, notifications and policy. What could act in their name
# (auth_token, service_catalog) expires while the request waits, anyway.
IDENTITY = (
    'user_id',
    'user_name',
    'project_id',
    'project_name',
    'user_domain',
    'project_domain',
    'request_id',
    'global_request_id',
)

# Nova's migrate_data can contain what connects a volume: CHAP passwords,
# Ceph keyrings.
_SECRET = re.compile(
    'passw|passphrase|secret|token|credential|keyring|private_?key', re.I
)


def scrubbed(text: str) -> tuple[str, list[str]]:
    """Return a JSON text with null for each secret, and where these were.

    :param text: JSON; what is JSON within it is looked into as well.
    :returns: the text, and for each secret the keys that lead to it.
    :raises ValueError: if it is no JSON.
    """
    found: list[str] = []
    value = json.loads(text)
    clean = _scrub(value, (), found)
    return (json.dumps(clean) if found else text), found


def _scrub(value: Any, path: tuple[str, ...], found: list[str]) -> Any:
    if isinstance(value, dict):
        return {k: _scrub(v, (*path, k), found) for k, v in value.items()}
    if isinstance(value, list):
        return [_scrub(item, path, found) for item in value]
    if value is not None and any(map(_SECRET.search, path)):
        # What the library wraps each object in says nothing.
        keys = [key for key in path if not key.startswith('nova_object.')]
        found.append('.'.join(keys))
        return None
    if isinstance(value, str) and value.lstrip()[:1] in ('{', '['):
        return _scrub_text(value, path, found)
    return value


def _scrub_text(text: str, path: tuple[str, ...], found: list[str]) -> str:
    """Return a text, without its secrets if it is JSON."""
    before = len(found)
    try:
        clean = _scrub(json.loads(text), path, found)
    except (ValueError, RecursionError):
        return text
    return json.dumps(clean) if len(found) > before else text


# The library's types can't be subscribed in its older releases.
class Identity(fields.Dict):  # type: ignore[type-arg]
    """A dict of strings that has room for an identity only."""

    def coerce(self, obj: Any, attr: str, value: Any) -> Any:
        """Forget all but the identity."""
        return super().coerce(obj, attr, self._known(value))

    def to_primitive(self, obj: Any, attr: str, value: Any) -> Any:
        """Forget what was put into the dict later."""
        return super().to_primitive(obj, attr, self._known(value))

    @staticmethod
    def _known(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value  # refused by the library
        return {key: value[key] for key in IDENTITY if key in value}


class ScrubbedJson(fields.String):
    """A JSON text without secrets."""

    def coerce(self, obj: Any, attr: str, value: Any) -> str:
        """Refuse what is no JSON; leave out what is secret.

        :raises ValueError: if it is no JSON.
        """
        text = super().coerce(obj, attr, value)
        return scrubbed(text)[0]


class IdentityField(fields.AutoTypedField):  # type: ignore[type-arg]
    AUTO_TYPE = Identity(fields.String(), nullable=True)


class ScrubbedJsonField(fields.AutoTypedField):  # type: ignore[type-arg]
    AUTO_TYPE = ScrubbedJson()


@base.ThrottleVersionedObjectRegistry.register
class JournalEntry(base.ThrottleObject):
    """One live migration between its acceptance and its end.

    :param context: who asked; other keys than IDENTITY are forgotten.
    :param values: fields; what is not given has its default, if it has one.
    """

    # Version 4.0: Added held
    VERSION = '4.0'

    fields = {
        'migration_uuid': fields.UUIDField(),
        'migration_id': fields.IntegerField(),
        'instance_uuid': fields.UUIDField(),
        'destination': fields.StringField(),
        'block_migration': fields.BooleanField(nullable=True),
        # Primitives of Nova's objects.
        'migrate_data': ScrubbedJsonField(nullable=True),
        'pci_requests': ScrubbedJsonField(nullable=True),
        # Where the secrets were that these two had.
        'unkept': fields.ListOfStringsField(default=[]),
        'priority': fields.IntegerField(default=0),
        # Whether it is passed over until an operator releases it.
        'held': fields.BooleanField(default=False),
        # To the second: that is what the library writes.
        'accepted_at': fields.DateTimeField(),
        'context': IdentityField(default={}),
        'state': fields.EnumField(
            valid_values=[state.value for state in lifecycle.State],
            default=lifecycle.State.QUEUED.value,
        ),
        # Volume id -> attachment id, as they are at the source.
        'attachments': fields.DictOfStringsField(default={}),
        # True once the destination was asked to prepare.
        'prepared': fields.BooleanField(default=False),
        # The final status of the migration, once that is decided.
        'status': fields.StringField(nullable=True),
        'reason': fields.StringField(nullable=True),
    }

    def __init__(
        self, context: Mapping[str, Any] | None = None, **values: Any
    ) -> None:
        # The library's first parameter has the name of our field.
        super().__init__(**values)
        for name, field in self.fields.items():
            if field.nullable and name not in values:
                setattr(self, name, None)
        if context is not None:
            self.context = context
        if 'accepted_at' not in values:
            now = timeutils.utcnow(with_timezone=True)
            self.accepted_at = now.replace(microsecond=0)
        self.obj_set_defaults()

    def __eq__(self, other: object) -> bool:
        """Compare what is written."""
        if not isinstance(other, JournalEntry):
            return NotImplemented
        return bool(self._data() == other._data())

    def __hash__(self) -> int:
        return hash(self.migration_uuid)

    def _data(self) -> Any:
        return self._obj_primitive_field(self.obj_to_primitive(), 'data')
