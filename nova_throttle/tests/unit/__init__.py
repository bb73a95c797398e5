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

"""Nova chooses its threading mode here, before anything else imports it.

Native threads, where a release has them, are the default;
``OS_NOVA_DISABLE_EVENTLET_PATCHING=0`` means eventlet.
"""

import os

os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', '1')

# Before 32 the import itself patches.
from nova import monkey_patch

if hasattr(monkey_patch, 'patch'):
    monkey_patch.patch()
