# SPDX-License-Identifier: Apache-2.0

"""What somebody wrote for us into nova.conf and what nobody reads.

A section of another name, or an option in the wrong one, is no error to
oslo.config; nova-compute would just run without a throttle.
"""

from collections.abc import Iterator
import difflib
import pathlib

from oslo_config import cfg

from nova_throttle import conf as throttle_conf

_SECTION = throttle_conf.GROUP.name
_DEFAULT = 'DEFAULT'

# Nova's own option that is a limit of ours.
_LIMIT = 'max_concurrent_live_migrations'

# Of other services too: alone it does not tell that we are meant.
_COMMON = 'enabled'

# How alike two names are that differ in a letter.
_NEAR = 0.9

_Sections = dict[str, dict[str, list[str]]]


def find(conf: cfg.ConfigOpts) -> Iterator[str]:
    """Yield a line for each section or option that nobody reads.

    :param conf: the configuration of the process, with its files read.
    """
    throttle_conf.register_opts(conf)
    for path in _files(conf):
        sections: _Sections = {}
        try:
            cfg.ConfigParser(str(path), sections).parse()
        except (OSError, UnicodeError, cfg.Error):
            continue  # oslo.config has said so, or has not read it
        for section, options in sections.items():
            for problem in _problems(conf, section, options):
                yield f'{problem} ({path})'


def _files(conf: cfg.ConfigOpts) -> Iterator[pathlib.Path]:
    yield from map(pathlib.Path, getattr(conf, 'config_file', None) or ())
    for directory in getattr(conf, 'config_dir', None) or ():
        yield from sorted(pathlib.Path(directory).glob('*.conf'))


def _problems(
    conf: cfg.ConfigOpts, section: str, options: dict[str, list[str]]
) -> Iterator[str]:
    if section.lower() == _SECTION:
        yield from _unknown(section, options)
    elif section != _DEFAULT and _nearest(section, [_SECTION]):
        yield (
            f'section [{section}] has no effect: ours is called [{_SECTION}]'
        )
    else:
        yield from _elsewhere(conf, section, options)


def _unknown(section: str, options: dict[str, list[str]]) -> Iterator[str]:
    """Find what is in our section and is no option of ours."""
    names = _names()
    for option in options:
        if option in names:
            continue
        nearest = _nearest(option, [*names, _LIMIT])
        hint = f': perhaps {nearest} is meant' if nearest else ''
        if nearest == _LIMIT:
            hint = f': it belongs to [{_DEFAULT}], as {_LIMIT}'
        yield f'[{section}] {option} has no effect{hint}'


def _elsewhere(
    conf: cfg.ConfigOpts, section: str, options: dict[str, list[str]]
) -> Iterator[str]:
    """Find options of ours that are in another section."""
    names = _names()
    default = section == _DEFAULT
    for option in options:
        if _is_known(conf, section, option):
            continue
        if default and _nearest(option, [_LIMIT]):
            yield f'[{section}] {option} has no effect: it is {_LIMIT}'
        elif option in names and (default or option != _COMMON):
            yield (
                f'[{section}] {option} has no effect: it belongs to '
                f'[{_SECTION}]'
            )


def _names() -> list[str]:
    return [opt.dest for opt in throttle_conf.ALL_OPTS]


def _is_known(conf: cfg.ConfigOpts, section: str, option: str) -> bool:
    try:
        group = conf if section == _DEFAULT else conf[section]
        return option in group
    except cfg.NoSuchOptError:  # also for a group
        return False


def _nearest(name: str, names: list[str]) -> str | None:
    """Return the name that differs by a letter, a dash or case, if any."""
    plain = '_'.join(name.lower().replace('-', ' ').split())
    found = difflib.get_close_matches(plain, names, n=1, cutoff=_NEAR)
    return found[0] if found else None
