# SPDX-License-Identifier: Apache-2.0

"""Why nova-compute must not start with the throttle that it was asked for.

There is no fallback to no limit: it stops, with one of these as its reason.
"""

from nova_throttle import exception


class ActivationError(exception.ThrottleError):
    """The throttle was asked for and can't be had: nova-compute must stop."""

    msg_fmt = 'cannot be activated'


class UntestedNova(ActivationError):
    msg_fmt = (
        'Nova %(version)s is not supported (supported: %(supported)s); '
        'set [nova_throttle] allow_untested_nova = true to try it anyway'
    )


class MissingName(ActivationError):
    msg_fmt = 'this Nova has no %(name)s, which nova-throttle relies on'


class ChangedSignature(ActivationError):
    msg_fmt = (
        '%(name)s of this Nova takes (%(found)s); nova-throttle relies on '
        '%(expected)s'
    )


class ForeignOverride(ActivationError):
    msg_fmt = (
        '%(name)s was already replaced by %(found)s; nova-throttle works on '
        "Nova's own %(expected)s only"
    )


class InvalidOption(ActivationError):
    msg_fmt = 'invalid option %(option)s: %(reason)s'


class JournalLocked(ActivationError):
    msg_fmt = (
        'the journal %(path)s of host %(host)s is in use by another '
        'nova-compute; one host has one nova-compute'
    )


class MetricsNotBound(ActivationError):
    msg_fmt = (
        'option [nova_throttle] metrics_bind: cannot listen at %(address)s: '
        '%(reason)s'
    )


class NoMetrics(ActivationError):
    msg_fmt = (
        'option [nova_throttle] metrics_bind: the library prometheus_client '
        'is not installed; it comes with nova-throttle[metrics]'
    )
