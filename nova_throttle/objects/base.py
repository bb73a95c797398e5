# SPDX-License-Identifier: Apache-2.0

"""What our versioned objects have in common.

Our names can't meet Nova's: neither a name in the registry, nor a key or a
namespace on the wire, is shared with any other project in the process.
"""

import collections
from collections.abc import Mapping
from typing import Any
from typing import TYPE_CHECKING

from oslo_utils import versionutils
from oslo_versionedobjects import base
from oslo_versionedobjects import exception

if TYPE_CHECKING:
    from typing_extensions import Self

_CLASSES: collections.defaultdict[str, list[type[base.VersionedObject]]]
_CLASSES = collections.defaultdict(list)


class ThrottleVersionedObjectRegistry(base.VersionedObjectRegistry):
    """A registry of our own.

    The library's is one for all projects in the process, so a ``Gate`` of
    ours would also be everybody else's; and Nova's tests reset it.
    """

    def __new__(cls) -> 'Self':
        self = object.__new__(cls)
        self._obj_classes = _CLASSES
        return self


class ThrottleObject(base.VersionedObject):
    """The base of all versioned objects of nova-throttle."""

    OBJ_PROJECT_NAMESPACE = 'nova_throttle'
    OBJ_SERIAL_NAMESPACE = 'nova_throttle_object'

    @classmethod
    def obj_class_from_name(
        cls, objname: str, objver: str
    ) -> type[base.VersionedObject]:
        """Find the class that can read an object.

        :param objname: the name that the object came with.
        :param objver: the version that the object came with.
        :returns: the class of that version, or a newer compatible one.
        :raises UnsupportedObjectError: if we have no such object.
        :raises IncompatibleObjectVersion: if it is newer than all of ours.
        """
        known = ThrottleVersionedObjectRegistry.obj_classes().get(objname)
        if not known:
            raise exception.UnsupportedObjectError(objtype=objname)
        # Newest first, as registered, after the very version if we have it.
        for found in sorted(known, key=lambda each: objver != each.VERSION):
            if versionutils.is_compatible(objver, found.VERSION):
                return found
        raise exception.IncompatibleObjectVersion(
            objname=objname, objver=objver, supported=known[0].VERSION
        )


def is_before(version: str, other: str) -> bool:
    """Tell whether a version of an object is older than another."""
    convert = versionutils.convert_version_to_tuple
    before: bool = convert(version) < convert(other)
    return before


def versions() -> dict[str, str]:
    """Return the newest version of each object that we can read."""
    classes = ThrottleVersionedObjectRegistry.obj_classes()
    return {name: known[0].VERSION for name, known in classes.items()}


def to_primitive(
    thing: ThrottleObject, readable: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Make plain data of an object, such that its reader understands it.

    :param thing: the object, with whatever it contains.
    :param readable: what the reader's :func:`versions` returned; None means
        that it is like us.
    :returns: what ``obj_from_primitive`` of the reader makes an object of.
    """
    manifest = {
        name: min(
            ours,
            (readable or {}).get(name, ours),
            key=versionutils.convert_version_to_tuple,
        )
        for name, ours in versions().items()
    }
    primitive: dict[str, Any] = thing.obj_to_primitive(
        manifest[thing.obj_name()], manifest
    )
    return primitive
