"""What the kernel knows of a process: CPU time and memory, from /proc. One method for all candidates.

CPU time is that of the process and all its threads, without its children (man proc_pid_stat: utime, stime), in clock
ticks of 10 ms.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_STATE, _UTIME, _STIME = 0, 11, 12  # fields 3, 14 and 15 of proc_pid_stat, counted from behind the command's name
_IDLE, _IOWAIT = 3, 4  # of the "cpu" line in /proc/stat


@dataclass(frozen=True)
class CpuTime:
    user_s: float
    system_s: float

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(self.user_s - earlier.user_s, self.system_s - earlier.system_s)


@dataclass(frozen=True)
class Sample:
    """CPU times at one moment: of some processes, of this one, and of all cores together."""

    at_s: float
    processes: tuple[CpuTime, ...]
    runner: CpuTime
    machine_busy_s: float

    def cpu_since(self, earlier: "Sample") -> tuple[CpuTime, ...]:
        return tuple(now - then for now, then in zip(self.processes, earlier.processes, strict=True))

    def foreign_cores_since(self, earlier: "Sample") -> float:
        """How many cores everybody else kept busy, on average."""
        ours_s = sum(used.total_s for used in (*self.cpu_since(earlier), self.runner - earlier.runner))
        return max(0.0, self.machine_busy_s - earlier.machine_busy_s - ours_s) / (self.at_s - earlier.at_s)


def sample(pids: tuple[int, ...]) -> Sample:
    return Sample(time.monotonic(), tuple(map(cpu_time, pids)), cpu_time(os.getpid()), machine_busy_s())


def cpu_time(pid: int) -> CpuTime:
    """CPU time since the process started. FileNotFoundError or ProcessLookupError when it is gone."""
    fields = _stat_fields(pid)
    return CpuTime(int(fields[_UTIME]) * _TICK_S, int(fields[_STIME]) * _TICK_S)


def running(pid: int) -> bool:
    """False when the process is gone, or has ended and nobody has asked for its status."""
    try:
        return _stat_fields(pid)[_STATE] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def machine_busy_s() -> float:
    """CPU seconds that all cores together have not been idle since boot."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT]) * _TICK_S


def resident_bytes(pid: int) -> int:
    """Resident memory (VmRSS). A pipe's buffers are the kernel's and not in it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has ended")


def cpu_model() -> str:
    """The CPU's name as the kernel prints it, with the number of cores that this process may use."""
    names = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{names[0] if names else os.uname().machine}, {len(os.sched_getaffinity(0))} cores"


def _stat_fields(pid: int) -> list[str]:
    """Those behind the command's name, which may hold anything but ends with the last bracket."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
