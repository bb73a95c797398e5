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

"""Every name of Nova's that we override or call, in one table.

It is compared with the Nova that is there before anything is replaced: one
that lacks a name, or takes other arguments, is refused with a line that says
which. What merely differs between releases, compat deals with.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import importlib
import inspect
from typing import Any

from nova_throttle import exception

# At the end of a form: more arguments may follow, if they have defaults.
MORE = '...'


@dataclasses.dataclass(frozen=True)
class Seam:
    """A function of Nova's.

    :param name: its module, and the path within it.
    :param forms: the names of its arguments in each form that we know. One
        that we override has no MORE: Nova might use it. None at all if it
        is not called.
    :param optional: whether it may be missing; compat looks then.
    """

    name: str
    forms: tuple[str, ...]
    optional: bool = False


def _seams(owner: str, **names: str) -> tuple[Seam, ...]:
    return tuple(
        Seam(f'{owner}.{name}' if ':' in owner else f'{owner}:{name}', (form,))
        for name, form in names.items()
    )


MANAGER = 'nova.compute.manager:ComputeManager'
DRIVER = 'nova.virt.libvirt.driver:LibvirtDriver'
HOST = 'nova.virt.libvirt.host:Host'

OVERRIDDEN = (
    Seam(f'{MANAGER}.init_host', ('self', 'self service_ref')),
    Seam(f'{MANAGER}.set_shutdown_in_progress', ('self',), optional=True),
    Seam(
        f'{MANAGER}.graceful_shutdown',
        ('self', 'self timeout'),
        optional=True,
    ),
    *_seams(
        MANAGER,
        cleanup_host='self',
        post_start_hook='self',
        reset='self',
        live_migration='self context dest instance block_migration migration '
        'migrate_data',
        live_migration_abort='self context instance migration_id',
        check_can_live_migrate_destination='self ctxt instance '
        'block_migration disk_over_commit migration limits',
        pre_live_migration='self context instance disk migrate_data',
        post_live_migration_at_destination='self context instance '
        'block_migration',
        rollback_live_migration_at_destination='self context instance '
        'destroy_disks migrate_data',
        _cleanup_live_migrations_in_pool='self',
        _delete_allocation_after_move='self context instance migration',
        _do_pre_live_migration_from_source='self context dest instance '
        'block_migration migration migrate_data source_bdms',
        # The overrides of the first and the last hand on whatever comes.
        _post_live_migration='self ctxt instance dest block_migration '
        'migrate_data source_bdms ...',
        _post_live_migration_update_host='self ctxt instance dest '
        'block_migration migrate_data source_bdms',
        _rollback_live_migration='self context instance dest migrate_data '
        'migration_status source_bdms ...',
        _reset_live_migration='self context instance',
        _set_migration_status='migration status',
    ),
    *_seams(
        DRIVER,
        live_migration='self context instance dest post_method '
        'recover_method block_migration migrate_data',
        live_migration_abort='self instance',
        rollback_live_migration_at_source='self context instance migrate_data',
        _live_migration_operation='self context instance dest '
        'block_migration migrate_data guest device_names ...',
    ),
    Seam(
        f'{DRIVER}._live_migration_monitor',
        tuple(
            'self context instance guest dest post_method recover_method '
            f'block_migration migrate_data {finish} disk_paths'
            for finish in ('finish_event', 'future')
        ),
    ),
)

CALLED = (
    Seam(
        f'{MANAGER}._record_task_start',
        ('self task_name instance_uuid request_id ...',),
        optional=True,
    ),
    Seam(
        f'{MANAGER}._record_task_end',
        ('self key future failed ...',),
        optional=True,
    ),
    Seam(
        f'{MANAGER}._end_pending_dest_live_migration_task',
        ('self instance_uuid ...',),
        optional=True,
    ),
    Seam(
        f'{DRIVER}._add_vtpm_secret_to_live_migrate_data',
        ('self instance dest_check_data ...',),
        optional=True,
    ),
    *_seams(
        MANAGER,
        _do_live_migration='self context dest instance block_migration '
        'migration migrate_data ...',
        _live_migration_cleanup_flags='self migrate_data migr_ctxt ...',
        _notify_about_instance_usage='self context instance event_suffix ...',
        _notify_live_migrate_abort_end='self context instance ...',
        _remove_remote_volume_connections='self context dest bdms instance '
        '...',
        _revert_allocation='self context instance migration ...',
        _rollback_volume_bdms='self context bdms original_bdms instance ...',
        _set_instance_obj_error_state='self instance clean_task_state ...',
    ),
    *_seams(
        'nova.compute.manager',
        wrap_exception='...',
        wrap_instance_event='prefix ...',
        wrap_instance_fault='function ...',
    ),
    *_seams(
        'nova.compute.utils',
        add_instance_fault_from_exc='context instance fault exc_info '
        'fault_message ...',
        notify_about_instance_action='context instance host action phase ...',
    ),
    *_seams(
        'nova.compute.utils:EventReporter',
        __init__='self context event_name host *instance_uuids ...',
        __enter__='self',
        __exit__='self exc_type exc_val exc_tb',
    ),
    Seam(
        'nova.compute.rpcapi:ComputeAPI.prepare_for_alt_rpcserver',
        ('self client server version **kwargs',),
        optional=True,
    ),
    *_seams(
        'nova.compute.rpcapi:ComputeAPI',
        _ver='self ctxt old ...',
        drop_move_claim_at_destination='self ctxt instance host ...',
        get_instance_diagnostics='self ctxt instance ...',
        rollback_live_migration_at_destination='self ctxt instance host '
        'destroy_disks migrate_data ...',
    ),
    *_seams(
        'nova.network.neutron:API',
        bind_ports_to_host='self context instance host vnic_types '
        'port_profiles ...',
        delete_port_binding='self context port_id host ...',
        list_ports='self context **search_opts',
        setup_networks_on_host='self context instance host teardown ...',
        show_port='self context port_id ...',
    ),
    *_seams(
        'nova.scheduler.client.report:SchedulerReportClient',
        delete_allocation_for_instance='self context uuid consumer_type '
        'force ...',
        get_allocs_for_consumer='self context consumer ...',
        move_allocations='self context source_consumer_uuid '
        'target_consumer_uuid ...',
        put_allocations='self context consumer_uuid payload ...',
        remove_provider_tree_from_instance_allocation='self context '
        'consumer_uuid root_rp_uuid ...',
    ),
    *_seams(
        'nova.scheduler.utils', resources_from_flavor='instance flavor ...'
    ),
    *_seams(DRIVER, get_info='self instance ...'),
    *_seams(
        HOST,
        _close_callback='self conn reason opaque',
        get_guest='self instance ...',
    ),
    *_seams(
        'nova.virt.libvirt.guest:Guest',
        get_job_info='self ...',
        has_persistent_configuration='self ...',
    ),
    *_seams(
        'nova.conductor.tasks.live_migrate:LiveMigrationTask',
        _update_migrate_vifs_from_bindings='self migrate_vifs bindings ...',
    ),
    *_seams('nova.context', get_admin_context='...'),
    *_seams('nova.rpc', get_client='target ...'),
    *_seams('nova.safe_utils', get_wrapped_function='function ...'),
    *_seams('nova.servicegroup.api:API', service_is_up='self member ...'),
    *_seams('nova.version:version_info', version_string='...'),
)

# Looked up, but not called.
NAMES = (
    'nova.compute.rpcapi:ComputeAPI.router',
    'nova.service:SERVICE_MANAGERS',
    'nova.virt.libvirt:LibvirtDriver',
)

# What an object has from its beginning, by the class that makes it.
ATTRIBUTES = {
    MANAGER: (
        '_waiting_live_migrations',
        'additional_endpoints',
        'compute_rpcapi',
        'driver',
        'host',
        'network_api',
        'reportclient',
        'volume_api',
    ),
    DRIVER: ('_host',),
    HOST: ('_wrapped_conn', '_wrapped_conn_lock'),
}


def check() -> None:
    """Compare the table with the Nova that is there.

    :raises MissingName: if it lacks one of the names.
    :raises ChangedSignature: if one takes other arguments.
    """
    for problem in problems():
        raise problem


def problems() -> Iterator[exception.ActivationError]:
    """Find what of the table this Nova does not have."""
    named = (Seam(name, ()) for name in NAMES)
    for seam in (*named, *OVERRIDDEN, *CALLED):
        problem = _look_at(seam)
        if problem is not None:
            yield problem
    for owner, names in ATTRIBUTES.items():
        for name in names:
            if not _sets(resolve(owner), name):
                yield exception.MissingName(name=f'{owner}().{name}')


def _look_at(seam: Seam) -> exception.ActivationError | None:
    try:
        function = resolve(seam.name)
    except exception.MissingName as error:
        return None if seam.optional else error
    if not seam.forms:
        return None
    found = _arguments(function)
    if any(_fits(found, form.split()) for form in seam.forms):
        return None
    return exception.ChangedSignature(
        name=seam.name,
        found=', '.join(found),
        expected=' or '.join(
            f'({", ".join(form.split())})' for form in seam.forms
        ),
    )


def resolve(name: str) -> Any:
    """Return what a name of the table names.

    :raises MissingName: if there is no such thing.
    """
    module, _, path = name.partition(':')
    try:
        found = importlib.import_module(module)
        for part in path.split('.'):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise exception.MissingName(name=name) from error
    return found


def _arguments(function: Callable[..., Any]) -> list[str]:
    """Name the arguments as a form does; = follows one with a default."""
    stars: dict[Any, str] = {
        inspect.Parameter.VAR_POSITIONAL: '*',
        inspect.Parameter.VAR_KEYWORD: '**',
    }
    return [
        stars.get(each.kind, '')
        + each.name
        + ('' if each.default is each.empty else '=')
        for each in inspect.signature(function).parameters.values()
    ]


def _fits(found: list[str], form: list[str]) -> bool:
    if [name for name in found if name != 'self'] == ['*args', '**kwargs']:
        return True  # it can't be known, as of a test's stand-in
    expected = [name for name in form if name != MORE]
    names = [name.rstrip('=') for name in found]
    more = found[len(expected) :]
    return names[: len(expected)] == expected and (
        not more or MORE in form and all(_is_omissible(n) for n in more)
    )


def _is_omissible(argument: str) -> bool:
    return argument.endswith('=') or argument.startswith('*')


def _sets(owner: type, attribute: str) -> bool:
    """Tell whether the objects of a class get an attribute when made."""
    for each in owner.__mro__:
        made_by = inspect.unwrap(vars(each).get('__init__', object.__init__))
        code = getattr(made_by, '__code__', None)
        if code is not None and attribute in code.co_names:
            return True
    return False
