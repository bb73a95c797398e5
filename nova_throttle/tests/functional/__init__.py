# SPDX-License-Identifier: Apache-2.0

"""Nova chooses its threading mode here, before anything else imports it.

Native threads, where a release has them, are the default;
``OS_NOVA_DISABLE_EVENTLET_PATCHING=0`` means eventlet.
"""

import gc
import os

os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', '1')

# Before 32 the import itself patches.
from nova import monkey_patch

if hasattr(monkey_patch, 'patch'):
    monkey_patch.patch()

# Each test makes some hundred thousand objects, and few are garbage before it
# ends: to look for it as often as Python does takes an eighth of the time.
gc.set_threshold(100_000, 10, 10)
