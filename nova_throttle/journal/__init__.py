# SPDX-License-Identifier: Apache-2.0

"""The queue on disk.

What put() was given is on disk when it returns, and survives kill -9, power
loss and damage to the file; while the disk can't be written it is kept in
memory, and nothing of this ever stops a live migration.
"""

from nova_throttle.journal.journal import Journal

__all__ = ['Journal']
