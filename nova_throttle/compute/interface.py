# SPDX-License-Identifier: Apache-2.0

"""What we rely on is there, or nova-compute is told what is not.

The stubs are compared with Nova before anything is replaced: one that lacks a
name, or takes other arguments, is refused with a line that says which. What
merely differs between releases, compat deals with.
"""

from collections.abc import Callable
from collections.abc import Iterator
import functools
import importlib
import inspect
import re
from typing import Any

from nova_throttle import activation
from nova_throttle.compute import stubs

# The arguments of what takes whatever comes.
ANYTHING = ['*args', '**kwargs']


def check() -> None:
    """Compare the stubs with the Nova that is there.

    :raises MissingName: if it lacks one of the names.
    :raises ChangedSignature: if one takes other arguments.
    """
    for problem in problems():
        raise problem


def problems() -> Iterator[activation.ActivationError]:
    """Find what of the stubs this Nova does not have."""
    for comparison in _comparisons():
        try:
            comparison()
        except activation.ActivationError as error:
            yield error


def _comparisons() -> Iterator[Callable[[], Any]]:
    for name in stubs.NAMES:
        yield functools.partial(resolve, name)
    for table in (stubs.OVERRIDDEN, stubs.CALLED):
        compare = functools.partial(_compare, table is stubs.CALLED)
        for path, stub in table.items():
            if not inspect.isclass(stub):
                yield functools.partial(compare, path, [stub])
                continue
            for name, forms in methods(stub):
                yield functools.partial(compare, f'{path}.{name}', forms)
            for name in inspect.get_annotations(stub):
                yield functools.partial(_look_for, path, name)


def methods(stub: type) -> Iterator[tuple[str, list[stubs.Stub]]]:
    """Find the methods of a stub, each with all its forms."""
    for name in vars(stub):
        forms = [getattr(each, name, None) for each in stub.__mro__]
        # Python has made one itself since 3.14.
        if inspect.isfunction(forms[0]) and name != '__annotate_func__':
            yield name, [form for form in forms if inspect.isfunction(form)]


def _compare(called: bool, path: str, forms: list[stubs.Stub]) -> None:
    """Compare what a path names with the forms of its stub.

    :raises MissingName: if it is not there, and not optional.
    :raises ChangedSignature: if it has none of the forms.
    """
    try:
        found = _arguments(resolve(path))
    except activation.MissingName:
        if forms[0] in stubs.OPTIONAL:
            return
        raise
    known = [_arguments(form) for form in forms]
    if not any(_fits(found, form, called) for form in known):
        raise activation.ChangedSignature(
            name=path,
            found=', '.join(found),
            expected=' or '.join(f'({", ".join(form)})' for form in known),
        )


def resolve(path: str) -> Any:
    """Return what a path names.

    :raises MissingName: if there is no such thing.
    """
    module, _, names = path.partition(':')
    try:
        found = importlib.import_module(module)
        for name in filter(None, names.split('.')):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise activation.MissingName(name=path) from error
    return found


def _arguments(function: Callable[..., Any]) -> list[str]:
    """Name the arguments, with their stars; = follows one with a default."""
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


def _fits(found: list[str], form: list[str], called: bool) -> bool:
    if [name for name in found if name != 'self'] == ANYTHING:
        return True  # it can't be known, as of a test's stand-in
    may_have_more = called
    if form[-2:] == ANYTHING:
        form, may_have_more = form[:-2], True
    more = found[len(form) :]
    return [name.rstrip('=') for name in found[: len(form)]] == form and all(
        may_have_more and (name.endswith('=') or name.startswith('*'))
        for name in more
    )


def _look_for(path: str, name: str) -> None:
    """Look whether the objects of a class have an attribute when made.

    :raises MissingName: if neither it nor the making gives them one.
    """
    owner = resolve(path)
    made_by = [vars(each).get('__init__') for each in owner.__mro__]
    assigns = re.compile(rf'\bself\.{name}(: .+)? = ').search
    if not hasattr(owner, name) and not any(
        assigns(inspect.getsource(each))
        for each in made_by
        if inspect.isfunction(each)
    ):
        raise activation.MissingName(name=f'{path}().{name}')
