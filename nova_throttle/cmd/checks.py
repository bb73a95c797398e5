# SPDX-License-Identifier: Apache-2.0

"""What an operator wants to know before an upgrade, of Nova or of us.

Nothing is changed by a look, and what can't be asked is a warning: it may
well be that a bus or a host is down while one upgrades.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import os

import nova.conf
from nova import context as nova_context
from nova import objects
from nova import servicegroup
from oslo_upgradecheck import upgradecheck

from nova_throttle import activation
from nova_throttle.cmd import bus
from nova_throttle.cmd import interpreter
from nova_throttle.compute import compat
from nova_throttle.compute import interface
from nova_throttle.compute import placement
from nova_throttle import conf as throttle_conf
from nova_throttle import exception
from nova_throttle.journal import files
from nova_throttle.journal import inspection
from nova_throttle import misplaced
from nova_throttle import rpcapi

CONF = nova.conf.CONF

# Seconds until a host, or the conductor, that does not answer is silent, and
# how many hosts are asked at a time.
TIMEOUT = 10.0
AT_A_TIME = 8

_SUCCESS = upgradecheck.Code.SUCCESS
_WARNING = upgradecheck.Code.WARNING
_FAILURE = upgradecheck.Code.FAILURE


def _result(
    code: upgradecheck.Code, details: Iterable[str]
) -> upgradecheck.Result:
    """Make a result: success if there is nothing to say."""
    text = '; '.join(details)
    return upgradecheck.Result(code if text else _SUCCESS, text or None)


class Checks(upgradecheck.UpgradeCommands):
    """The checks, in the order of the table."""

    def _check_python(self) -> upgradecheck.Result:
        """Would nova-compute load us at all?"""
        return _result(_FAILURE, interpreter.problems())

    def _check_release(self) -> upgradecheck.Result:
        """Is this a Nova that we were tested with?"""
        throttle_conf.register_opts(CONF)
        try:
            compat.check_nova(allow_untested=False)
        except activation.UntestedNova as error:
            allowed = CONF.nova_throttle.allow_untested_nova
            return _result(_WARNING if allowed else _FAILURE, [str(error)])
        return _result(_SUCCESS, [])

    def _check_interface(self) -> upgradecheck.Result:
        """Has it all that we override and call?"""
        return _result(_FAILURE, map(str, interface.problems()))

    def _check_options(self) -> upgradecheck.Result:
        """Would nova-compute start with this configuration?"""
        try:
            throttle_conf.read_all(CONF)
        except activation.InvalidOption as error:
            return _result(_FAILURE, [str(error)])
        problems = list(misplaced.find(CONF))
        if not CONF.nova_throttle.enabled:
            problems.append('[nova_throttle] enabled is false')
        return _result(_WARNING, problems)

    def _check_journal(self) -> upgradecheck.Result:
        """Could the journal of this host be read and written?"""
        found = inspection.inspect(CONF.nova_throttle.journal_dir, CONF.host)
        if not found.usable:
            return _result(
                _FAILURE,
                [f'{found.path} cannot be read and written by this user'],
            )
        if found.state in (files.State.OLDER, files.State.NEWER):
            return _result(
                _FAILURE,
                [
                    f'{found.path} is {found.state.value} of nova-throttle: '
                    'its queue would be set aside'
                ],
            )
        return _result(_WARNING, _journal_warnings(found))

    def _check_placement(self) -> upgradecheck.Result:
        """Could gates of the cloud be kept in Placement?"""
        try:
            bus.within(TIMEOUT, lambda: placement.connect().gates())
        except (exception.ThrottleError, futures.TimeoutError) as error:
            reason = str(error) or 'Placement did not answer'
            return _result(_WARNING, [f'{reason}: no gates of the cloud'])
        return _result(_SUCCESS, [])

    def _check_peers(self) -> upgradecheck.Result:
        """Do the hosts of this cell run us, and which version?"""
        try:
            hosts = bus.within(TIMEOUT, _hosts_that_are_up)
        except Exception as error:
            reason = str(error) or 'no conductor answered'
            return _result(
                _WARNING,
                [f'the hosts of this cell are not known: {reason}'],
            )
        with futures.ThreadPoolExecutor(AT_A_TIME) as executor:
            answers = list(executor.map(_ask, hosts))
        return _result(
            _WARNING, _summary(dict(zip(hosts, answers, strict=True)))
        )

    _upgrade_checks = (
        ('Python', _check_python),
        ('Nova release', _check_release),
        ('Names of Nova', _check_interface),
        ('Options', _check_options),
        ('Journal', _check_journal),
        ('Placement', _check_placement),
        ('Other hosts', _check_peers),
    )


def _journal_warnings(found: inspection.Finding) -> Iterator[str]:
    if found.state is files.State.DAMAGED:
        yield (
            f'{found.path} is damaged: nova-compute will set it aside when '
            'it starts'
        )
    user = os.geteuid()
    # Nothing stops root, so only its owner tells whose a place is.
    if found.owner != user and (not user or not found.is_missing):
        yield (
            f'the journal belongs to user {found.owner}: this is to be run '
            'as the user of nova-compute'
        )


def _hosts_that_are_up() -> list[str]:
    services = objects.ServiceList.get_by_binary(
        nova_context.get_admin_context(), 'nova-compute'
    )
    is_up = servicegroup.API().service_is_up
    return sorted(service.host for service in services if is_up(service))


def _ask(host: str) -> str:
    """Return what is wrong with a host, nothing if all is well."""
    try:
        version = _version(host)
    except exception.HostNotThrottled:
        return 'nova-throttle is not active'
    except exception.ThrottleError as error:
        return str(error.args[0]).splitlines()[0]
    if version == rpcapi.VERSION:
        return ''
    return f'version {version} of our interface, not {rpcapi.VERSION}'


def _version(host: str) -> str:
    """Return the newest version of our interface that a host knows too.

    :raises ThrottleError: if it did not answer, or has none.
    """
    major, minor = rpcapi.VERSION.split('.')
    for known in range(int(minor), 0, -1):
        version = f'{major}.{known}'
        with contextlib.suppress(exception.HostNotThrottled):
            _knock(host, version)
            return version
    _knock(host, f'{major}.0')
    return f'{major}.0'


def _knock(host: str, version: str) -> None:
    bus.ask(
        host,
        TIMEOUT,
        lambda _, ctxt: rpcapi.ThrottleAPI(
            host, TIMEOUT, version
        ).get_snapshot(ctxt),
    )


def _summary(answers: dict[str, str]) -> Iterator[str]:
    """Say each thing that is wrong once, with its hosts."""
    for answer in sorted(set(filter(None, answers.values()))):
        hosts = [host for host, said in answers.items() if said == answer]
        yield f'{", ".join(hosts)}: {answer}'
