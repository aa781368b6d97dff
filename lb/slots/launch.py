"""What a worker is started with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from lb.config import Config, Frame
from lb.slots import channel
from lb.slots.allowance import Allowance
from lb.slots.program import find_program, line_reader
from lb.slots.spawn import Order


def order_of(
    config: Config, allowance: Allowance, pipe_fds: Sequence[int], channel_fd: int, told: Mapping[str, str]
) -> Order:
    """`pipe_fds`, `channel_fd`: the descriptors that it gets. `told`: more for its environment. Raises OSError."""
    path, arguments = _command(config)
    return Order(
        path,
        argv=[*arguments, *map(str, pipe_fds)],
        environment={**os.environ, "LB_PIPES": channel.PROTOCOL, "LB_CHANNEL": str(channel_fd), **told},
        directory=config.directory,
        fds=[*pipe_fds, channel_fd],
        soft_descriptors=allowance.worker_descriptors(len(pipe_fds)),
        cpus=allowance.worker_cpus(),
    )


def _command(config: Config) -> tuple[str, list[str]]:
    """The program's path and its argv, but for the pipes' numbers. Raises OSError."""
    if config.frame is Frame.LINES:
        command = line_reader(config.worker, config.directory, config.worker_args)
        return command[0], command
    return find_program(config.worker, config.directory), [config.worker, *config.worker_args]
