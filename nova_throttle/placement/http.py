# SPDX-License-Identifier: Apache-2.0

"""Asks Placement, and reads its answers.

Whatever is not an answer that was expected is an error of ours: nothing of
the session, its URL or its token is ever quoted.
"""

from collections.abc import Iterator
import contextlib
from typing import Any
from typing import Protocol

from nova_throttle import exception
from nova_throttle.placement import errors

# The oldest microversion that has all we need: a consumer's generation.
VERSION = '1.28'

OK = frozenset({200, 201, 204})
NOT_FOUND, CONFLICT = 404, 409
_NOT_ACCEPTABLE = 406


class Response(Protocol):
    """An answer."""

    status_code: int

    def json(self) -> Any: ...


class Session(Protocol):
    """What Nova's report client is to us."""

    def get(self, url: str, version: str) -> Response: ...

    def put(self, url: str, data: Any, version: str) -> Response: ...

    def post(self, url: str, data: Any, version: str) -> Response: ...

    def delete(self, url: str, version: str) -> Response: ...


class Client:
    """Placement, by its URLs.

    :param session: with the credentials of the service.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, url: str, *expected: int) -> Any:
        """Return what is there; None for a status that was expected."""
        with _one_error():
            response = self._session.get(url, version=VERSION)
            return self._read(response, expected)

    def put(self, url: str, data: Any, *expected: int) -> Response:
        """Put something there."""
        with _one_error():
            response = self._session.put(url, data, version=VERSION)
        return self._check(response, expected)

    def post(self, url: str, data: Any, *expected: int) -> Response:
        """Make something there."""
        with _one_error():
            response = self._session.post(url, data, version=VERSION)
        return self._check(response, expected)

    def delete(self, url: str, *expected: int) -> Response:
        """Delete what is there."""
        with _one_error():
            response = self._session.delete(url, version=VERSION)
        return self._check(response, expected)

    def _read(self, response: Response, expected: tuple[int, ...]) -> Any:
        self._check(response, expected)
        return response.json() if response.status_code in OK else None

    @staticmethod
    def _check(response: Response, expected: tuple[int, ...]) -> Response:
        if response.status_code == _NOT_ACCEPTABLE:
            raise errors.PlacementAway(
                reason=f'it does not have microversion {VERSION}'
            )
        if response.status_code not in OK | set(expected):
            raise errors.PlacementAway(
                reason=f'it answered {response.status_code}'
            )
        return response


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
    try:
        yield
    except exception.ThrottleError:
        raise
    except Exception as error:
        # Its text may have a URL.
        name = type(error).__name__
        raise errors.PlacementAway(reason=name) from error
