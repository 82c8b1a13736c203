"""What this machine can do, and how to let torch make use of it."""

import ctypes
import os
import sysconfig
from pathlib import Path

import torch


# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def has_accelerator() -> bool:
    """A GPU or another device that torch can use and that `accelerate launch --cpu` did not switch off."""
    off = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes", "y", "t", "on")
    return not off and torch.accelerator.is_available()


def cpu_has_bf16() -> bool:
    """Matrix instructions for bf16: AMX or AVX512-BF16. Without them bf16 is emulated and slower than fp32."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def sampling_dtype(device: torch.device) -> torch.dtype | None:
    """What a model samples in fastest: bfloat16, or None for the type of its weights where bf16 is slow."""
    return torch.bfloat16 if device.type != "cpu" or cpu_has_bf16() else None


def threads() -> int:
    """Threads each local process should use: an equal share of the cores this process may run on."""
    asked = os.environ.get("OMP_NUM_THREADS", "1")
    if asked.isdigit() and int(asked) > 1:
        return int(asked)  # 1 is what accelerate and torchrun write when nobody asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = Path("/sys/fs/cgroup/cpu.max")  # `docker run --cpus 2` limits time, not the list of cores
    if limit.is_file() and (quota := limit.read_text().split())[0] != "max":
        cores = min(cores, max(1, round(int(quota[0]) / int(quota[1]))))
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def use_all_threads() -> int:
    """Let torch use `threads()`, since a plain `accelerate launch` leaves it one; returns their number."""
    torch.set_num_threads(threads())
    return torch.get_num_threads()


def keep_freed_memory() -> bool:
    """Let the process reuse memory that it has freed; returns whether that worked (glibc only).

    By default every tensor above some MB is given back to the kernel when it dies, and the next one comes as pages
    that the kernel has to find and clear: a quarter of the time of a training step on a CPU (see bench/README.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def can_compile() -> bool:
    """Whether `torch.compile` finds what it builds kernels with: a C++ compiler and Python's headers."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # imported late: it is slow

    try:
        get_cpp_compiler()
    except RuntimeError:  # InvalidCxxCompiler among them
        return False
    return Path(sysconfig.get_path("include"), "Python.h").is_file()
