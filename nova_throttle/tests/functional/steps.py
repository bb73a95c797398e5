# SPDX-License-Identifier: Apache-2.0

"""Every call that a host makes for a live migration, one by one.

Nothing here knows which calls there are: whatever the threads of a migration
ask of another service, of the driver or of the journal is noted, and a test
may make any one of them fail.
"""

import contextlib
import dataclasses
import functools
import threading

import fixtures
from nova.objects import base as nova_base
import oslo_messaging
from oslo_messaging.rpc import client as rpc_client

from nova_throttle.virt.libvirt import operation

# The call is not made; it is made, and its answer is lost.
REFUSED = 'refused'
LOST = 'answer lost'

# Kinds that are other services of OpenStack.
_OVER_HTTP = frozenset({'network', 'volume', 'placement'})


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a migration.

    :param role: in which of its threads.
    :param kind: what is called.
    :param name: the method.
    :param nth: how many like it came before, in that thread.
    """

    role: str
    kind: str
    name: str
    nth: int

    def __str__(self):
        return f'{self.role}: {self.kind} {self.name} #{self.nth}'

    @property
    def is_remote(self):
        """Whether another process does it, whose answer may be lost."""
        return self.kind in ('rpc', 'object', *_OVER_HTTP)


class _Conductor:
    """Stands between versioned objects and the database.

    It is there only for the threads of a migration; for others objects are
    as they are without a conductor.
    """

    def __init__(self, steps):
        self._steps = steps

    def __bool__(self):
        return self._steps.are_seen('object')

    def object_action(self, context, instance, method, args, kwargs):
        result = self._steps.call(
            'object',
            f'{instance.obj_name()}.{method}',
            functools.partial(getattr(instance, method), *args, **kwargs),
        )
        return {'obj_what_changed': instance.obj_what_changed()}, result

    def object_class_action_versions(
        self, context, name, method, versions, args, kwargs
    ):
        found = nova_base.NovaObject.obj_class_from_name(name, versions[name])
        return self._steps.call(
            'object',
            f'{name}.{method}',
            functools.partial(
                getattr(found, method), context, *args, **kwargs
            ),
        )


class Steps(fixtures.Fixture):
    """Notes the steps of migrations, and makes some fail.

    :param service: the compute service of the source host.
    :param on_step: called at each step, before it is made.
    """

    def __init__(self, service, on_step):
        super().__init__()
        self._manager = service.manager
        self._on_step = on_step
        self._local = threading.local()
        # By server: the steps that were made, those to fail, and how.
        self._made = {}
        self._faults = {}

    def _setUp(self):
        self._watch_threads()
        self._watch_rpc()
        self._watch_objects()
        manager = self._manager
        for kind, target in (
            ('network', manager.network_api),
            ('volume', manager.volume_api),
            ('placement', manager.reportclient),
            ('driver', manager.driver),
        ):
            self._watch(kind, target, _public_methods(target))
        # Its own tests make a disk fail: it goes on without, and is silent.
        self._watch('journal', manager._parts.journal, ('put',))

    # What a test asks

    def arm(self, server, faults=None):
        """Note the steps of a server's next migration.

        :param faults: the steps that fail, and how.
        """
        self._made[server['id']] = []
        self._faults[server['id']] = dict(faults or {})

    def made(self, server):
        """Return the steps of a server's migration, in their order."""
        return list(self._made[server['id']])

    # Which threads are a migration's

    def _watch_threads(self):
        parts = self._manager._parts
        self._mark('handler', self._manager, 'live_migration', _instance)
        self._mark('worker', parts.run._workers, '_work', _migration)
        self._mark('background', parts.completion, '_file', _migration)
        self._mark('libvirt', operation.Operation, 'run', _operation)
        recovery = self._manager._recovery
        self._mark('recovery', recovery._resumption, 'resume', _entry)

    def _mark(self, role, target, name, find_uuid):
        original = getattr(target, name)

        def marked(*args, **kwargs):
            with self._thread_of(find_uuid(*args, **kwargs), role):
                return original(*args, **kwargs)

        self._patch(target, name, marked)

    @contextlib.contextmanager
    def _thread_of(self, uuid, role):
        before = getattr(self._local, 'state', None)
        self._local.state = (uuid, role, set())
        try:
            yield
        finally:
            self._local.state = before

    # What they call

    def _patch(self, target, name, value):
        self.addCleanup(setattr, target, name, getattr(target, name))
        setattr(target, name, value)

    def _watch(self, kind, target, names):
        for name in names:
            self._watch_method(kind, target, name)

    def _watch_method(self, kind, target, name):
        original = getattr(target, name)

        def watched(*args, **kwargs):
            call = functools.partial(original, *args, **kwargs)
            return self.call(kind, name, call)

        self._patch(target, name, watched)

    def _watch_rpc(self):
        for name in ('call', 'cast'):
            self._watch_rpc_method(name)

    def _watch_rpc_method(self, name):
        original = getattr(rpc_client._BaseCallContext, name)

        def send(client, context, method, /, **kwargs):
            call = functools.partial(
                original, client, context, method, **kwargs
            )
            return self.call('rpc', method, call)

        self._patch(rpc_client._BaseCallContext, name, send)

    def _watch_objects(self):
        self._patch(nova_base.NovaObject, 'indirection_api', _Conductor(self))

    def are_seen(self, kind):
        """Tell whether calls of a kind, by this thread, are steps."""
        state = getattr(self._local, 'state', None)
        if state is None or state[0] not in self._made:
            return False
        # What the conductor does is none of this host's business.
        return not state[2] & {'object', kind}

    def call(self, kind, name, original):
        """Make a call that may be a step."""
        if not self.are_seen(kind):
            return original()
        uuid, role, inside = self._local.state
        step = self._note(uuid, role, kind, name)
        fault = self._faults[uuid].get(step)
        if fault == REFUSED:
            raise RuntimeError(f'injected at {step}')
        # The driver calls back; all else is its own business.
        hides = (kind, name) != ('driver', 'live_migration')
        if hides:
            inside.add(kind)
        try:
            result = original()
        finally:
            if hides:
                inside.discard(kind)
        if fault == LOST and kind in _OVER_HTTP:
            raise RuntimeError(f'injected after {step}')
        if fault == LOST:
            raise oslo_messaging.MessagingTimeout(f'injected after {step}')
        return result

    def _note(self, uuid, role, kind, name):
        made = self._made[uuid]
        self._on_step()
        nth = sum(
            (step.role, step.kind, step.name) == (role, kind, name)
            for step in made
        )
        step = Step(role, kind, name, nth)
        made.append(step)
        return step


def _public_methods(target):
    return [
        name
        for name in dir(type(target))
        if not name.startswith('_') and callable(getattr(type(target), name))
    ]


def _instance(context, dest, instance, *args, **kwargs):
    return instance.uuid


def _migration(migration):
    return migration.instance.uuid


def _operation(op, call):
    return op.instance_uuid


def _entry(entry):
    return entry.instance_uuid
