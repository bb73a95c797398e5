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

"""Why a host starts nothing: a set of reasons.

Each reason has one owner, who puts it and takes it. Taking one never undoes
another: what was stopping before a pause is stopping after it.
"""

import enum


class Standstill(str, enum.Enum):
    """A reason to start nothing: a closed set."""

    # The queue of before the restart is not restored yet.
    STARTING = 'starting'
    # What comes to this host is not known yet.
    COUNTING = 'counting'
    # An operator wants it so.
    PAUSED = 'paused'
    # The service stops: nothing is accepted either.
    STOPPING = 'stopping'


# What keeps requests from leaving this host, and from coming to it.
OUTGOING = frozenset(Standstill) - {Standstill.COUNTING}
INCOMING = frozenset(Standstill) - {Standstill.STARTING}
