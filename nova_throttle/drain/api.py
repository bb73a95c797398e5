# SPDX-License-Identifier: Apache-2.0

"""Requests to Nova's API, by openstacksdk.

The library is an extra of the package, and imported here only.
"""

from collections.abc import Iterator
from typing import Any
import warnings

from nova_throttle.drain import errors
from nova_throttle import exception

try:
    from keystoneauth1 import exceptions as auth_exceptions
    import openstack
    from openstack import exceptions as sdk_exceptions
except ImportError:
    openstack = None

# The newest that is needed: reasons of failed events. All releases have it.
MICROVERSION = '2.84'


class Api:
    """A way to Nova's API, with the rights of an administrator.

    What goes wrong is one of two: it may pass by itself, or Nova refused.

    :param name: of a cloud in clouds.yaml; None is what OS_* say.
    :raises MissingLibrary: if openstacksdk is not installed.
    :raises CloudAway: if there is no way to the API.
    """

    def __init__(self, name: str | None = None) -> None:
        if openstack is None:
            raise errors.MissingLibrary(name='openstacksdk')
        try:
            # Nobody but the environment, clouds.yaml and the option decides.
            # What the library warns of, such as of OS_COMPUTE_API_VERSION,
            # is of no consequence here.
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                self._compute = openstack.connect(cloud=name).compute
        except _failures() as error:
            raise errors.CloudAway(reason=str(error)) from error

    def pages(
        self, path: str, name: str, query: dict[str, str]
    ) -> Iterator[dict[str, Any]]:
        """Return the items of a list that comes in pages.

        :param name: of the list in each answer.
        """
        while True:
            answer = self.get(path, **query)
            yield from answer[name]
            if not answer.get(f'{name}_links') or not answer[name]:
                return
            last = answer[name][-1]
            query = {**query, 'marker': last.get('uuid') or last['id']}

    def get(self, path: str, **query: str) -> Any:
        """Return what a GET is answered with."""
        return self.send('GET', path, query=query).json()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, str] | None = None,
    ) -> Any:
        """Send a request, and return the response.

        :raises CloudAway: if it may succeed later.
        :raises CloudRefused: if Nova refuses.
        """
        more = {} if body is None else {'json': body}
        try:
            response = self._compute.request(
                *(path, method),
                params=query or {},
                microversion=MICROVERSION,
                **more,
            )
            sdk_exceptions.raise_from_response(response)
        except sdk_exceptions.HttpException as error:
            raise _translate(error, method) from error
        except _failures() as error:
            raise errors.CloudAway(reason=str(error)) from error
        return response


def _failures() -> tuple[type[Exception], ...]:
    return (auth_exceptions.ClientException, sdk_exceptions.SDKException)


def _translate(error: Any, method: str) -> exception.ThrottleError:
    """Tell what is refused from what may pass by itself.

    A server with which Nova cannot do what it is asked for may make it fail
    each time: it is to count as an attempt. Reading has no attempts.
    """
    reason = str(error.details or error)
    away = error.status_code in (401, 429, 502, 503, 504)
    if away or (method == 'GET' and error.status_code >= 500):
        return errors.CloudAway(reason=reason)
    return errors.CloudRefused(reason=reason)
