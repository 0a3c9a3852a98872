"""A microcontroller without floating point: compile for a Cortex-M3, count what is needed, and run it emulated."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cvlab import _check
from cvlab.quant.integer import Array
from cvlab.quant.targets.c_source import KERNELS, CProgram
from cvlab.quant.targets.toolchain import check_input, compile_c, split_outputs

MACHINE = ("-mcpu=cortex_m3", "-g", "-ffreestanding", "-fno-unwind-tables", "-std=c11")
SOFT_FLOAT = re.compile(r"__aeabi_(f|d|i2f|i2d|l2f|l2d|ui2f|ui2d|cfcmp|cdcmp)\w*|__(add|sub|mul|div)[sd]f3")
"""Names of the functions that a compiler calls where a chip has no floating point."""


@dataclass(frozen=True)
class Board:
    """A board with a Cortex-M3.

    Attributes:
        script: name of the linker script in `cvlab/quant/targets/c`.
        machine: its name in QEMU.
        flash: bytes of program memory.
        ram: bytes of working memory.
    """

    script: str
    machine: str
    flash: int
    ram: int


BOARDS = {
    "lm3s6965": Board("lm3s6965.ld", "lm3s6965evb", 256 * 1024, 64 * 1024),
    "mps2_an385": Board("mps2_an385.ld", "mps2-an385", 4 * 1024**2, 4 * 1024**2),
}
"""The Stellaris LM3S6965, small as most microcontrollers are, and Arm's MPS2 with the AN385 image, a large one."""

STACK = 2048
"""Bytes that are kept for the stack when it is said whether a program fits."""


@dataclass(frozen=True)
class Firmware:
    """A network compiled for a Cortex-M3.

    Attributes:
        image: the ELF file.
        program: what it was made of.
        board: whose memory it was linked for.
        flash: bytes of code, constants, and starting values.
        ram: bytes of working memory, without the stack.
        soft_float: names of the functions for floating point that are in it.
    """

    image: bytes
    program: CProgram
    board: Board
    flash: int
    ram: int
    soft_float: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the board's memory is enough, the stack counted in."""
        return self.flash <= self.board.flash and self.ram + STACK <= self.board.ram


def build_firmware(
    program: CProgram, board: str = "lm3s6965", *, optimise: str = "-O2", compiler: str = "zig"
) -> Firmware:
    """Compile and link a network for a board.

    Args:
        program: as `integer_c` or `float_c` gives it.
        board: a name of `BOARDS`; a program that needs more memory than it has is linked for the larger one, and
            `fits` is False.
        optimise: "-O2" for speed, "-Os" for size.
        compiler: "zig", or "gcc" for arm-none-eabi-gcc where it is installed.

    Returns:
        The firmware.

    Raises:
        InputError: if board or compiler are unknown.
        ImportError: if a package of the extra mcu is missing.
        RuntimeError: if the compiler refuses.
    """
    _check.choice("build_firmware", "board", board, BOARDS)
    _check.choice("build_firmware", "compiler", compiler, ("zig", "gcc"))
    wanted = BOARDS[board]
    with tempfile.TemporaryDirectory() as place:
        folder = program.write(place)
        elf = folder / "net.elf"
        script = BOARDS["mps2_an385"].script
        _link(compiler, folder, elf, script, optimise)
        firmware = _measured(elf, program, wanted)
        if firmware.fits and wanted.script != script:
            _link(compiler, folder, elf, wanted.script, optimise)
            firmware = _measured(elf, program, wanted)
        return firmware


def _link(compiler: str, folder: Path, elf: Path, script: str, optimise: str) -> None:
    sources = [folder / "net.c", KERNELS / "cortex_m3.c"]
    flags = [f"-I{folder}", "-T", str(KERNELS / script), optimise]
    if compiler == "zig":
        compile_c(sources, "thumb-freestanding-eabi", elf, [*MACHINE, *flags])
        return
    options = ["-mcpu=cortex-m3", "-mthumb", "-ffreestanding", "-nostartfiles", "-std=gnu11", *flags]
    command = ["arm-none-eabi-gcc", *options, *map(str, sources), "-lgcc", "-o", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"build_firmware: the compiler refuses: {done.stderr.strip()[-2000:]}")


def _elf(image: bytes) -> Any:
    import io

    try:
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise ImportError("build_firmware: needs the package pyelftools; install the extra mcu") from error
    return ELFFile(io.BytesIO(image))


def _measured(elf: Path, program: CProgram, board: Board) -> Firmware:
    """Read off an ELF file how much memory it needs, and which functions of floating point it has."""
    image = elf.read_bytes()
    file = _elf(image)
    sizes = {section.name: section["sh_size"] for section in file.iter_sections()}
    flash = sum(sizes.get(name, 0) for name in (".text", ".data"))
    ram = sum(sizes.get(name, 0) for name in (".data", ".bss"))
    names = {symbol.name for symbol in file.get_section_by_name(".symtab").iter_symbols()}
    soft = tuple(sorted(name for name in names if SOFT_FLOAT.fullmatch(name)))
    return Firmware(image, program, board, flash, ram, soft)


@dataclass(frozen=True)
class Emulated:
    """What an emulated run gave.

    Attributes:
        outputs: each (B, ...).
        instructions: for the first input; 0 where they were not counted.
    """

    outputs: tuple[Array, ...]
    instructions: int


def summary(firmware: Firmware, run: Emulated) -> str:
    """Say what a network takes of its board: flash, RAM, instructions, and functions for floating point."""
    board = firmware.board
    return (
        f"flash {firmware.flash:,} of {board.flash:,} bytes, RAM {firmware.ram:,} of {board.ram:,}\n"
        f"{run.instructions / 1e6:.1f} million instructions an image\n"
        f"functions for floating point in it: {len(firmware.soft_float)}"
    )


OUTSIDE = 0x30000000
"""An address without memory on the boards: unicorn puts input and output there."""


def emulate(firmware: Firmware, x: Array, *, count: bool = True) -> Emulated:
    """Run the network of a firmware, instruction by instruction, in the emulator unicorn.

    Args:
        firmware: as `build_firmware` gives it.
        x: (B, H, W, C) of the program's type.
        count: whether to count the instructions of the first input, which takes longer.

    Returns:
        The outputs, and the number of instructions.

    Raises:
        InputError: if x has another shape or type.
        ImportError: if a package of the extra mcu is missing.
    """
    check_input("emulate", firmware.program, x)
    try:
        import unicorn
        from unicorn import arm_const as arm
    except ImportError as error:
        raise ImportError("emulate: needs the packages unicorn and capstone; install the extra mcu") from error
    file = _elf(firmware.image)
    entry = file.get_section_by_name(".symtab").get_symbol_by_name("net_run")[0]["st_value"]
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M3)
    large = BOARDS["mps2_an385"]
    machine.mem_map(0, large.flash)
    machine.mem_map(0x20000000, large.ram)
    numbers = sum(int(np.prod(shape)) for shape in firmware.program.output_shapes)
    row, results = int(np.prod(firmware.program.input_shape)) * x.itemsize, numbers * x.itemsize
    end = OUTSIDE + -(-(row + results + 64) // 4096) * 4096
    machine.mem_map(OUTSIDE, end - OUTSIDE + 4096)
    for segment in file.iter_segments():
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
            machine.mem_write(segment["p_paddr"], segment.data())
            machine.mem_write(segment["p_vaddr"], segment.data())
    y_at = OUTSIDE + -(-row // 16) * 16
    found, instructions = [], 0
    for i, one in enumerate(x):
        machine.mem_write(OUTSIDE, np.ascontiguousarray(one).tobytes())
        machine.reg_write(arm.UC_ARM_REG_R0, OUTSIDE)
        machine.reg_write(arm.UC_ARM_REG_R1, y_at)
        machine.reg_write(arm.UC_ARM_REG_SP, 0x20000000 + large.ram - 64)
        machine.reg_write(arm.UC_ARM_REG_LR, end | 1)
        counter = _Counter(machine) if count and i == 0 else None
        machine.emu_start(entry | 1, end)
        if counter is not None:
            instructions = counter.stop()
        found.append(np.frombuffer(bytes(machine.mem_read(y_at, results)), dtype=x.dtype))
    y = np.array(found, dtype=x.dtype).reshape(len(x), numbers)
    return Emulated(split_outputs(firmware.program, y), instructions)


class _Counter:
    """Counts instructions: each block's once, by taking it apart, and then as often as it runs."""

    def __init__(self, machine: Any) -> None:
        import capstone
        import unicorn

        self.machine, self.sizes, self.total = machine, {}, 0
        self.reader = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
        self.hook = machine.hook_add(unicorn.UC_HOOK_BLOCK, self._block)

    def _block(self, machine: Any, address: int, size: int, _: Any) -> None:
        if (address, size) not in self.sizes:
            code = bytes(machine.mem_read(address, size))
            self.sizes[address, size] = sum(1 for _ in self.reader.disasm_lite(code, address))
        self.total += self.sizes[address, size]

    def stop(self) -> int:
        self.machine.hook_del(self.hook)
        return self.total


def has_qemu() -> bool:
    """Tell whether qemu-system-arm is installed."""
    return shutil.which("qemu-system-arm") is not None


def run_qemu(firmware: Firmware, x: Array, *, seconds: float = 300) -> tuple[Array, ...]:
    """Run a firmware from its reset on, on a board emulated by QEMU, with files for input and output.

    Args:
        firmware: as `build_firmware` gives it; it must fit the board.
        x: (B, H, W, C) of the program's type.
        seconds: after which it is given up.

    Returns:
        The outputs, each (B, ...).

    Raises:
        InputError: if x has another shape or type, or the firmware does not fit.
        RuntimeError: if QEMU is not installed, or stops with an error.
    """
    check_input("run_qemu", firmware.program, x)
    if not firmware.fits:
        raise _check.InputError("run_qemu: the firmware does not fit into the board's memory")
    if not has_qemu():
        raise RuntimeError("run_qemu: there is no qemu-system-arm; it is a package of the system")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.bin").write_bytes(np.ascontiguousarray(x).tobytes())
        (Path(folder) / "net.elf").write_bytes(firmware.image)
        semihosting = "enable=on,target=native"
        command = ["qemu-system-arm", "-M", firmware.board.machine, "-nographic", "-monitor", "none", "-serial", "none"]
        command += ["-semihosting-config", semihosting, "-kernel", "net.elf"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode:
            raise RuntimeError(f"run_qemu: QEMU stopped with {done.returncode}: {done.stderr.strip()[-500:]}")
        raw = np.frombuffer((Path(folder) / "out.bin").read_bytes(), dtype=np.uint8)
    numbers = sum(int(np.prod(shape)) for shape in firmware.program.output_shapes)
    raw = raw.reshape(len(x), numbers * x.itemsize + 4)  # 4 for the cycles
    return split_outputs(firmware.program, np.ascontiguousarray(raw[:, :-4]).view(x.dtype))
