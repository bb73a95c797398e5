# SPDX-License-Identifier: Apache-2.0

"""What the values of our options are, where oslo.config has no type."""

from typing import Any
from typing import NamedTuple

from oslo_config import types
from oslo_utils import netutils

AUTO = 'auto'


class Transfers(types.Integer):
    """A number of transfers, or that it is to be found out."""

    def __init__(self) -> None:
        super().__init__(min=0, type_name='number or auto')

    def __call__(self, value: Any) -> Any:
        """Return a number, or AUTO.

        :raises ValueError: if it is neither.
        """
        if value == AUTO:
            return AUTO
        try:
            return super().__call__(value)
        except ValueError as error:
            raise ValueError(
                f'{value!r} is neither a number from 0 nor {AUTO}'
            ) from error

    def _formatter(self, value: Any) -> str:
        return str(value)


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class AddressType(types.ConfigType):
    """The type of an option that is a host and a port."""

    def __init__(self) -> None:
        super().__init__(type_name='host:port value')

    def __call__(self, value: Any) -> Address:
        """Make an address of a text.

        :raises ValueError: if it is none.
        """
        if isinstance(value, Address):
            return value
        host, _, port = str(value).rpartition(':')
        bare = host.removeprefix('[').removesuffix(']')
        is_bare = ':' in host and bare == host
        valid = port.isdecimal() and netutils.is_valid_port(int(port))
        if not bare or is_bare or not valid:
            raise ValueError('must be a host and a port, such as [::]:9979')
        return Address(bare, int(port))

    def _formatter(self, value: Any) -> str:
        return str(value)
