"""A guest machine on cgroup v2 that runs the engine and the agent's own tests: `python -m tests.vm.guest PYTEST-ARGS…`.

It is made from what this machine has: its engine, its Python with the packages of this environment, busybox, and
Debian's cloud kernel; nothing is fetched but that kernel, by apt. Without KVM it runs emulated.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from tests.vm.root import ENGINE, SOURCES, CannotMake, image, initramfs, kernel, need, stage

BUILD = SOURCES / "build" / "vm"
MEMORY_MB = 1536
PROCESSORS = 2
DEADLINE_SECONDS = float(os.environ.get("MIDWATCH_TEST_GUEST_SECONDS", "5400"))
NO_RESULT = 98
_CONTROL = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|c)|\r")
"""What a firmware writes to clear its screen."""


def boot(linux: Path, start: Path, disk: Path) -> int:
    """Boots, passes on what the guest writes, and returns its exit code; a guest that never ends is ended."""
    began = time.monotonic()
    with subprocess.Popen(_qemu(linux, start, disk), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as machine:
        assert machine.stdout is not None
        code = NO_RESULT
        try:
            for line in _lines(machine, began + DEADLINE_SECONDS):
                if line.startswith("GUEST-EXIT "):
                    code = int(line.split()[1].rstrip(":"))
                print(line, flush=True)
        finally:
            machine.kill()
    print(f"the guest ran for {time.monotonic() - began:.0f} s")
    return code


def _lines(machine: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    assert machine.stdout is not None
    os.set_blocking(machine.stdout.fileno(), False)
    rest = b""
    while time.monotonic() < deadline:
        text = machine.stdout.read()
        if text == b"" or (text is None and machine.poll() is not None):
            return
        if text is None:
            time.sleep(0.1)
            continue
        *whole, rest = (rest + text).split(b"\n")
        yield from (_CONTROL.sub("", line.decode(errors="replace")).rstrip() for line in whole)
    print(f"the guest was not done after {DEADLINE_SECONDS:.0f} s")


def _qemu(linux: Path, start: Path, disk: Path) -> list[str]:
    words = "console=ttyS0 loglevel=1 edd=off panic=-1 psi=1 mitigations=off random.trust_cpu=on nokaslr tsc=reliable"
    return [
        "qemu-system-x86_64", "-M", "q35", *_accelerator(), "-m", str(MEMORY_MB), "-smp", str(PROCESSORS),
        "-kernel", str(linux), "-initrd", str(start), "-append", words,
        "-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio", "-nic", "none",
        "-drive", f"if=none,id=root,file={disk},format=raw,cache=unsafe", "-device", "virtio-blk-pci,drive=root",
    ]  # fmt: skip


def _accelerator() -> list[str]:
    """KVM where the processor has it and its device can be opened, else emulation."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    if flags & {"vmx", "svm"} and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", "max"]


def main(arguments: list[str]) -> int:
    """Makes the guest anew, boots it, and returns the exit code of pytest in it."""
    if sysconfig.get_platform() != "linux-x86_64":
        print(f"the guest can't be made: its kernel is for linux-x86_64, this is {sysconfig.get_platform()}")
        return 2
    try:
        need(*ENGINE, "qemu-system-x86_64", "mke2fs", "busybox")
        modules = kernel(BUILD / "kernel")
        stage(BUILD / "root", modules, arguments)
        image(BUILD / "root", BUILD / "disk.img")
        initramfs(BUILD / "start", modules, BUILD / "start.cpio")
        return boot(BUILD / "kernel/boot" / f"vmlinuz-{modules.name}", BUILD / "start.cpio", BUILD / "disk.img")
    except CannotMake as fault:
        print(f"the guest can't be made: {fault}")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
