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

"""Build a Debian package for hosts whose Nova comes from Debian.

    python3 tools/build_deb.py [--wheel FILE] [--output DIRECTORY]

It has what is in the wheel, at the place that Debian's own nova-compute reads,
and depends on Debian's packages of what the wheel requires. Needs dpkg-deb
and, without --wheel, git, pip and a Python package index. Manual pages come
along if "tox -e docs" has made them.
"""

import argparse
from collections.abc import Iterator
from email import message
from email import parser
import gzip
from importlib import metadata
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

HOME = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = 'usr/lib/python3/dist-packages'
MAN = 'usr/share/man/man1'
DOC = 'usr/share/doc/nova-throttle'

REQUIREMENT = re.compile(
    r'(?P<name>[\w.-]+) ?\(?>=(?P<bound>[\w.]+)\)?'
    r'( ?; extra == [\'"](?P<extra>\w+)[\'"])?'
)

CONTROL = """\
Package: nova-throttle
Version: {version}
Architecture: all
Installed-Size: {size}
Maintainer: {author} <root@localhost>
Depends: {depends}
Recommends: {recommends}
Section: net
Priority: optional
Description: {summary}
 It is loaded by nova-compute, and does nothing until
 [nova_throttle] enabled is true in nova.conf.
"""

# Without bytecode, whoever runs a command first would want to write it.
POSTINST = """\
#!/bin/sh
set -e
[ "$1" != configure ] || py3compile -p nova-throttle
"""
PRERM = """\
#!/bin/sh
set -e
py3clean -p nova-throttle
"""

PROGRAM = """\
#!/usr/bin/python3
import sys

from {module} import {function}

sys.exit({function}())
"""


def main() -> None:
    args = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = args.wheel or _build_wheel(pathlib.Path(scratch))
        root = pathlib.Path(scratch, 'root')
        facts = _unpack(wheel, root / LIBRARY)
        _write_programs(root)
        _write_documents(root)
        _write_control(root, facts)
        name = f'nova-throttle_{_version(facts)}_all.deb'
        args.output.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ['dpkg-deb', '--root-owner-group', '--build', root]
            + [args.output / name],
            check=True,
        )


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description='Build a Debian package for hosts whose Nova is Debian\'s.'
    )
    options.add_argument(
        '--wheel',
        metavar='FILE',
        type=pathlib.Path,
        help='what to pack; without it, one is built of the last commit here',
    )
    options.add_argument(
        '--output',
        metavar='DIRECTORY',
        type=pathlib.Path,
        default=HOME / 'dist',
        help='where to put the package (default: dist)',
    )
    return options.parse_args()


def _build_wheel(directory: pathlib.Path) -> pathlib.Path:
    pip = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps']
    # A build in the tree would take along what is left of another one there.
    commit = f'git+{HOME.as_uri()}'
    subprocess.run([*pip, '-w', directory, commit], check=True)
    return next(directory.glob('nova_throttle-*.whl'))


def _unpack(wheel: pathlib.Path, library: pathlib.Path) -> message.Message:
    """Unpack a wheel, which is pure Python, and return its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(library)
    (info,) = library.glob('nova_throttle-*.dist-info')
    # It names files that are elsewhere here; Debian has its own list.
    (info / 'RECORD').unlink()
    (info / 'INSTALLER').write_text('dpkg\n')
    return parser.Parser().parsestr((info / 'METADATA').read_text())


def _version(facts: message.Message) -> str:
    """Return the version as Debian orders it: before, not after the final."""
    return re.sub(r'\.?(dev|a|b|rc)(\d+)', r'~\1\2', facts['Version'])


def _write_programs(root: pathlib.Path) -> None:
    programs = root / 'usr/bin'
    programs.mkdir(parents=True)
    (found,) = metadata.distributions(path=[str(root / LIBRARY)])
    for entry in found.entry_points.select(group='console_scripts'):
        module, function = entry.value.split(':')
        program = programs / entry.name
        program.write_text(PROGRAM.format(module=module, function=function))
        program.chmod(0o755)


def _write_documents(root: pathlib.Path) -> None:
    for page in (HOME / 'doc/build/man').glob('*.1'):
        packed = root / MAN / f'{page.name}.gz'
        packed.parent.mkdir(parents=True, exist_ok=True)
        packed.write_bytes(gzip.compress(page.read_bytes(), mtime=0))
    copyright = root / DOC / 'copyright'
    copyright.parent.mkdir(parents=True)
    copyright.write_bytes((HOME / 'LICENSE').read_bytes())


def _write_control(root: pathlib.Path, facts: message.Message) -> None:
    files = [path for path in root.rglob('*') if path.is_file()]
    place = root / 'DEBIAN'
    place.mkdir()
    (place / 'control').write_text(
        CONTROL.format(
            version=_version(facts),
            size=sum(path.stat().st_size for path in files) // 1024,
            author=facts['Author'],
            summary=facts['Summary'],
            depends=', '.join(_depends(facts)),
            recommends=', '.join(_packages(facts, 'drain', 'metrics')),
        )
    )
    for name, text in (('postinst', POSTINST), ('prerm', PRERM)):
        (place / name).write_text(text)
        (place / name).chmod(0o755)


def _depends(facts: message.Message) -> Iterator[str]:
    yield f'python3 ({facts["Requires-Python"].replace(">=", ">= ")})'
    # Which releases are supported is said at the start, not here: the same
    # package stays while Nova is upgraded.
    yield 'python3-nova'
    yield from _packages(facts, None)


def _packages(facts: message.Message, *extras: str | None) -> Iterator[str]:
    """Name Debian's packages; all that we require has its usual name."""
    for requirement in facts.get_all('Requires-Dist', ()):
        found = REQUIREMENT.fullmatch(requirement)
        if found and found['extra'] in extras:
            name = found['name'].lower().replace('_', '-')
            yield f'python3-{name} (>= {found["bound"]})'


if __name__ == '__main__':
    main()
