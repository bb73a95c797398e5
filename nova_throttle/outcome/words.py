# SPDX-License-Identifier: Apache-2.0

"""Nova's words for the states of servers and migrations.

They are what is in the records. A test compares them with Nova's own.
"""

# Task states.
DELETING = 'deleting'
MIGRATING = 'migrating'

# States of a server.
ACTIVE = 'active'
DELETED = 'deleted'
ERROR = 'error'
PAUSED = 'paused'

# Types of migrations.
EVACUATION = 'evacuation'
LIVE = 'live-migration'
