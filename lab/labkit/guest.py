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

"""The guest: a kernel and a busybox that writes memory at a known rate."""

import gzip
import pathlib
import shutil
import subprocess

from labkit.plan import Plan
from labkit import shell


def kernel(plan: Plan) -> pathlib.Path:
    """Return the guest's kernel: Debian's, downloaded and not installed."""
    path = plan.cache / 'guest' / 'vmlinuz'
    if path.exists():
        return path
    shell.say('Fetching a kernel for the guests')
    place = plan.cache / 'guest' / 'deb'
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    place.chmod(0o777)
    depends = shell.run('apt-cache', 'depends', 'linux-image-cloud-amd64')
    name = next(
        line.split()[-1]
        for line in depends.splitlines()
        if 'Depends: linux-image' in line
    )
    shell.run('apt-get', '-q', 'download', name, cwd=place)
    shell.run('dpkg-deb', '-x', next(place.glob('*.deb')), place / 'root')
    shutil.copy(next(place.glob('root/boot/vmlinuz-*')), path)
    shutil.rmtree(place)
    return path


def initrd(plan: Plan) -> pathlib.Path:
    """Return the guest's only file system, made from ``guest/``."""
    path = plan.cache / 'guest' / 'initrd.gz'
    sources = [plan.home / 'guest' / name for name in ('dirty.c', 'init')]
    newest = max(source.stat().st_mtime for source in sources)
    if path.exists() and path.stat().st_mtime > newest:
        return path
    root = plan.cache / 'guest' / 'root'
    for name in ('bin', 'dev', 'proc', 'sys'):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy('/bin/busybox', root / 'bin')
    shutil.copy(sources[1], root / 'init')
    shell.run(*('gcc', '-O2', '-static', '-o'), root / 'bin/dirty', sources[0])
    archive = subprocess.run(
        'find . | cpio -o -H newc --quiet',
        shell=True,
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    path.write_bytes(gzip.compress(archive))
    shutil.rmtree(root)
    return path
