# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a Mac is made of, and how much of its memory its GPU may use.

On Apple silicon the GPU has no memory of its own: it may hold ("wire") a part of the one memory. llama.cpp asks Metal
for that part (``recommendedMaxWorkingSetSize``, ggml-metal-device.m) and prints it with ``--list-devices``. Where no
engine is there to ask yet, the part is read from the sysctl that overrides it, or guessed by a rule of thumb.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..base import commands
from ..base.errors import LlamaCppError
from ..base.units import GIB, MIB

SYSCTL = "/usr/sbin/sysctl"

#: What the owner sets to let the GPU use more memory than macOS does by itself.
WIRED_LIMIT_KEY = "service.wired_limit_mb"

#: What is asked of sysctl. The first four: Apple, "Determining system capabilities" and "About the Rosetta translation
#: environment"; llama.cpp itself reads the chip and the performance cores under these names. The last: macOS 14 and
#: later on Apple silicon; 0 means that macOS decides; MiB (the values 12000 and 14000 came back from Metal as exactly
#: those MiB: AlexsJones/llmfit#754).
NAMES = {
    "chip": "machdep.cpu.brand_string",
    "memory": "hw.memsize",
    "performance_cores": "hw.perflevel0.physicalcpu",
    "translated": "sysctl.proc_translated",
    "wired_limit_mb": "iogpu.wired_limit_mb",
}

_REPORTED = re.compile(r"\((\d+) MiB, \d+ MiB free\)$")


class Hardware(NamedTuple):
    """What sysctl told; None where it did not."""

    chip: str | None  # such as Apple M4 Max
    memory: int | None  # bytes
    performance_cores: int | None
    translated: int | None  # 1: this process runs under Rosetta; None on an Intel Mac
    wired_limit_mb: int | None  # MiB; 0: macOS decides


def read_hardware(sysctl=SYSCTL):
    """Ask ``sysctl`` (a path) for the :class:`Hardware` of this Mac; a name that it does not know gives None."""
    texts = {field: commands.output_of([sysctl, "-n", name]) for field, name in NAMES.items()}
    numbers = {field: _number(text) for field, text in texts.items() if field != "chip"}
    return Hardware(chip=(texts["chip"] or "").strip() or None, **numbers)


def _number(text):
    return int(text) if text and re.fullmatch(r"\d+\s*", text) else None


def reported_memory(description):
    """The bytes in a device's line of ``llama-server --list-devices``, or None.

    :param description: what stands behind the name, such as ``Apple M4 Max (98304 MiB, 98303 MiB free)``.
    """
    found = _REPORTED.search(description or "")
    return int(found.group(1)) * MIB or None if found else None  # Accelerate (BLAS) has 0 MiB: no memory of its own


def stock_ceiling(memory):
    """How many of ``memory`` bytes the GPU may use when the limit was not raised: a rule of thumb, on the safe side.

    Two thirds up to 36 GiB, three quarters above, as Ollama assumed before it asked Metal (ollama#2354). Apple
    publishes no rule and changes it: of 16384 MiB llama.cpp was told 10922 and, on newer macOS, 12124; of 131072 MiB
    98304 (ardanlabs/kronk#10) and 110100 (antirez/ds4#893); in between 18186 of 24576 and 53084 of 65536.
    """
    return memory * 2 // 3 if memory <= 36 * GIB else memory * 3 // 4


def highest_wired_limit_mb(memory):
    """The most, in MiB, that the GPU of a Mac with ``memory`` bytes may be allowed to wire.

    Wired memory is never paged out or compressed: what the GPU holds, macOS cannot get back, and a Mac without memory
    left freezes or restarts (osaurus-ai/vmlx-swift#421). So macOS keeps an eighth, at least 4 GiB and at most 16 GiB:
    112 of 128 GiB and 84 of 96 GiB are what people run. Never less than macOS allows by itself.
    """
    reserve = min(max(memory // 8, 4 * GIB), 16 * GIB)
    return max(memory - reserve, stock_ceiling(memory)) // MIB


def check_wired_limit(wanted_mb, hardware):
    """Raise LlamaCppError when the GPU of this Mac cannot, or should not, be allowed to wire ``wanted_mb`` MiB."""
    if hardware.wired_limit_mb is None or hardware.memory is None:
        raise LlamaCppError(
            f"{WIRED_LIMIT_KEY}: {wanted_mb} cannot be set: sysctl on this host knows no {NAMES['wired_limit_mb']}, "
            "which is there on Apple silicon from macOS 14 on. Nothing was changed. Leave it out."
        )
    highest, total = highest_wired_limit_mb(hardware.memory), hardware.memory // MIB
    if not 0 < wanted_mb <= highest:
        raise LlamaCppError(
            f"{WIRED_LIMIT_KEY}: {wanted_mb} is not a limit for this Mac; expected: 1 to {highest}, in MiB. The other "
            f"{total - highest} of its {total} MiB are for macOS, which cannot page out what the GPU holds. "
            "Nothing was changed."
        )


class Room(NamedTuple):
    """The memory that a model may take."""

    bytes: int
    total: int  # bytes of the whole machine
    where: str  # whose memory that is, as the subject of a sentence
    highest: int  # bytes that it can be raised to; the same as ``bytes`` where it cannot
    certain: bool = True  # False: it is at least ``bytes``, and how much more up to ``highest`` only the engine knows
    elsewhere: int = 0  # bytes of these that are on other machines


def host_room(total):
    """The room on a machine that computes on its CPU: all of its ``total`` bytes."""
    return Room(total, total, "this machine has", total)


def metal_room(hardware, device=None, wanted_mb=None):
    """The room for a model on the GPU of this Mac.

    :param hardware: with its ``memory`` known.
    :param device: the engine's description of the device, when there is an engine.
    :param wanted_mb: the wired limit that this play sets, when it does.
    """
    memory, reported = hardware.memory, reported_memory(device)
    highest = highest_wired_limit_mb(memory) * MIB if hardware.wired_limit_mb is not None else 0
    if wanted_mb:
        ceiling, where = wanted_mb * MIB, f"{WIRED_LIMIT_KEY} will allow Metal on this Mac"
    elif reported:
        ceiling, where = reported, "Metal on this Mac allows"
    elif hardware.wired_limit_mb:
        ceiling, where = hardware.wired_limit_mb * MIB, f"{NAMES['wired_limit_mb']} allows Metal on this Mac"
    else:
        ceiling, where = stock_ceiling(memory), "Metal on this Mac allows, by rule of thumb, at least"
        return Room(ceiling, memory, where, max(ceiling, highest), certain=False)
    return Room(ceiling, memory, where, max(ceiling, highest))


def joined_room(own, workers, on_gpu):
    """The ``own`` :class:`Room` of a host together with the bytes of its RPC workers.

    llama-server puts a model onto GPUs, and workers count as such: a CPU next to them holds none of its layers.
    """
    if not on_gpu:
        return Room(workers, workers, "the RPC workers offer", workers, elsewhere=workers)
    where = "Metal on this Mac and its RPC workers together allow"
    return Room(own.bytes + workers, own.total + workers, where, own.highest + workers, own.certain, workers)
