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

"""The queue on disk.

What put() was given is on disk when it returns, and survives kill -9, power
loss and damage to the file; while the disk can't be written it is kept in
memory, and nothing of this ever stops a live migration.
"""

from nova_throttle.journal.journal import Journal

__all__ = ['Journal']
