# SPDX-License-Identifier: Apache-2.0

"""Native threads for a program of ours; importing this chooses them.

A program asks a question and ends: there is nothing for green threads to do.
It comes before any other module of Nova, as Nova's own choice does.
"""

import logging
import os
import warnings

# Older releases decide when the module is imported, newer ones when asked.
os.environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = '1'

from nova import monkey_patch

# Nova warns of native threads before they are its default, and whoever runs
# a command has not asked: an error is one line, and nothing else is.
logging.getLogger().addHandler(logging.NullHandler())

# Setuptools warns of what Nova up to 30 does, which is no news either.
warnings.filterwarnings('ignore', message='pkg_resources is deprecated')

if hasattr(monkey_patch, 'patch'):
    monkey_patch.patch()
