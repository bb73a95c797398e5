# SPDX-License-Identifier: Apache-2.0

"""What a drain is asked to do, as values."""

import dataclasses

from nova_throttle.drain import plan


@dataclasses.dataclass(frozen=True)
class Options:
    """What a drain was asked to do.

    :param targets: hosts to choose from; none lets Nova choose.
    :param attempts: how often one server is asked for, at most.
    :param deadline: seconds; None is none.
    :param force_complete: whether guests on the wire are paused then.
    :param max_failures: after so many nothing more is begun; None is never.
    :param cold_at_once: cold migrations under way; 0 is unlimited. Nova has
        no queue for them.
    :param retry_after: seconds until one that failed is asked for again.
    :param patience: seconds to wait for a server that is busy otherwise,
        when nothing moves any more.
    """

    targets: tuple[str, ...] = ()
    skip_stopped: bool = False
    order: plan.Order = plan.Order.SMALLEST
    attempts: int = 3
    deadline: float | None = None
    force_complete: bool = False
    max_failures: int | None = None
    cold_at_once: int = 0
    retry_after: float = 30.0
    patience: float = 60.0
