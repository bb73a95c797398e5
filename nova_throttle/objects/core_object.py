# SPDX-License-Identifier: Apache-2.0

"""Objects that mirror the core's frozen values, field by field."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import enum
import operator
from typing import Any
from typing import ClassVar
from typing import Generic
from typing import TYPE_CHECKING
from typing import TypeVar

from nova_throttle.objects import base

if TYPE_CHECKING:
    from typing_extensions import Self

Value = TypeVar('Value')


@dataclasses.dataclass(frozen=True)
class Shape:
    """How the value of a field differs from the core's."""

    from_core: Callable[[Any], Any]
    to_core: Callable[[Any], Any]


STRINGS = Shape(list, tuple)
NUMBERS = Shape(dict, lambda found: tuple(found.items()))


def word(kind: type[enum.Enum]) -> Shape:
    """Return the shape of a field that holds one of a closed set."""
    return Shape(operator.attrgetter('value'), kind)


def row(kind: 'type[CoreObject[Any]]') -> Shape:
    """Return the shape of a field that holds a list of other objects."""

    def to_core(found: Iterable[CoreObject[Any]]) -> tuple[Any, ...]:
        return tuple(each.to_core() for each in found)

    return Shape(lambda values: list(map(kind.from_core, values)), to_core)


class CoreObject(base.ThrottleObject, Generic[Value]):
    """The base of an object that has the fields of a value of the core."""

    CORE: ClassVar[type]
    # Fields that are not kept as they are.
    SHAPES: ClassVar[Mapping[str, Shape]] = {}

    @classmethod
    def from_core(cls, value: Value) -> 'Self':
        """Make an object of the core's value."""
        found = {n: getattr(value, n) for n in _names(cls.CORE)}
        for name, shape in cls.SHAPES.items():
            found[name] = shape.from_core(found[name])
        return cls(**found)

    def to_core(self) -> Value:
        """Return the core's value; what an older peer left out is default."""
        found = {n: getattr(self, n) for n in _names(self.CORE) if n in self}
        for name in found.keys() & self.SHAPES.keys():
            found[name] = self.SHAPES[name].to_core(found[name])
        value: Value = self.CORE(**found)
        return value


def _names(core: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(core))
