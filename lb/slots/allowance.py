"""CPUs and descriptors: what lb was given at its start and has changed for itself, so that workers get what was given.

Law: a change that did not come from here came from outside (taskset, prlimit); that one holds for workers, too.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from typing import Any

from lb.errors import Unavailable

_OTHER_DESCRIPTORS = 96
"""Besides pipes and channels: sessions, logs, reports of workers that are being started."""

_OF_A_WORKER_BESIDES_PIPES = 64


class Allowance:
    """To be made before anything is changed. `adopted`: what hand_over() said before this program took the process
    over."""

    def __init__(self, adopted: Mapping[str, Any] | None = None) -> None:
        self._given_cpus = self._own_cpus = os.sched_getaffinity(0)
        self._given_soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._own_soft = self._given_soft
        self._needed_descriptors = _OTHER_DESCRIPTORS
        if adopted is not None:
            self._given_cpus, self._own_cpus = set(adopted["given_cpus"]), set(adopted["own_cpus"])
            self._given_soft, self._own_soft = adopted["given_soft"], adopted["own_soft"]

    def hand_over(self) -> dict[str, Any]:
        return {
            "given_cpus": sorted(self._given_cpus),
            "own_cpus": sorted(self._own_cpus),
            "given_soft": self._given_soft,
            "own_soft": self._own_soft,
        }

    def add_descriptors(self, count: int) -> None:
        """Allow `count` more than before. Raises Unavailable where the hard limit does not."""
        self._needed_descriptors += count
        needed = self._needed_descriptors
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise Unavailable(
                f"{needed} descriptors are needed, {hard} are allowed: "
                "raise the limit (ulimit -n, LimitNOFILE=) or lower NPIPES"
            )
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            self._own_soft = needed

    def keep_to_cpu(self, number: int) -> None:
        self._own_cpus = {number}
        os.sched_setaffinity(0, self._own_cpus)

    def worker_cpus(self) -> set[int]:
        """On which a worker that is started now may run."""
        cpus = os.sched_getaffinity(0)
        return self._given_cpus if cpus == self._own_cpus else cpus

    def worker_descriptors(self, pipes: int) -> int:
        """The soft limit (RLIMIT_NOFILE) of a worker with so many pipes that is started now.

        That is 1024 on most systems, for select(2) can do no more; but a worker of many pipes could open and poll(2)
        nothing with it.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = self._given_soft if soft == self._own_soft else soft
        return max(soft, pipes + _OF_A_WORKER_BESIDES_PIPES) if soft != resource.RLIM_INFINITY else 2**64 - 1
