"""What the machine is found to have, and that torch makes use of it."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aji import machine


def test_accelerate_launch_cpu_hides_the_accelerator(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert not machine.has_accelerator()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    assert machine.has_accelerator()


@pytest.mark.parametrize(
    ("omp", "processes", "expected"), [("1", "1", 8), (None, "2", 4), ("1", "16", 1), ("3", "1", 3), ("3", "2", 3)]
)
def test_threads(monkeypatch, omp, processes, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    if omp is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", omp)
    assert machine.threads() == expected


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1)])
def test_threads_respect_the_limit_of_a_container(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    monkeypatch.setattr(Path, "read_text", lambda _: quota + "\n")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert machine.threads() == expected


def test_use_all_threads(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(machine, "threads", lambda: 3)
    try:
        assert machine.use_all_threads() == 3 == torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def test_can_compile_needs_compiler_and_headers(monkeypatch, tmp_path):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(machine.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "g++")
    assert machine.can_compile()

    monkeypatch.setattr(machine.sysconfig, "get_path", lambda _: str(tmp_path / "none"))
    assert not machine.can_compile()

    def nothing():
        raise InvalidCxxCompiler

    monkeypatch.setattr(machine.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", nothing)
    assert not machine.can_compile()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")
def test_freed_memory_is_used_again():
    assert page_faults("keep_freed_memory()") < 0.6 * page_faults("")


def page_faults(before: str) -> int:
    """How many pages the kernel has to give for six training steps, in a process of its own: no way leads back."""
    code = f"""
import resource, torch
from aji.machine import keep_freed_memory
torch.set_num_threads(1)
{before}
x = torch.ones(2**24, requires_grad=True)
first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(6):
    (x * 2).exp().log().sin().sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first)
"""
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
