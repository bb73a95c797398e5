# SPDX-License-Identifier: Apache-2.0

"""Nova's own tests of live migration, from its wheel, judge us.

They run twice: on plain Nova, and with our classes in the place of the
compute manager and the libvirt driver. What passes on the first has to pass
with the second, but for what is excused by name.
"""
