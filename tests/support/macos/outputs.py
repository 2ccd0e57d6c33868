# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What programs of macOS print: recorded by others, or in the form that Apple's source gives, as said above each."""

from __future__ import annotations

# Names and values as `sysctl -n` prints them. hw.*: Apple, "Determining system capabilities", and the sample outputs
# that go with it; machdep.cpu.brand_string: llama.cpp reads it too (ggml-cpu.cpp); iogpu.wired_limit_mb is 0 unless
# somebody set it (AlexsJones/llmfit#754, Andyyyy64/whichllm#153).
M1_MAX_64 = {
    "machdep.cpu.brand_string": "Apple M1 Max",
    "hw.memsize": "68719476736",
    "hw.perflevel0.physicalcpu": "8",
    "sysctl.proc_translated": "0",
    "iogpu.wired_limit_mb": "0",
}

# An Intel Mac knows neither performance levels, nor translation, nor the GPU's limit; `sysctl: unknown oid '…'` goes to
# stderr and the exit status is 1.
INTEL = {"machdep.cpu.brand_string": "Intel(R) Core(TM) i7-8700B CPU @ 3.20GHz", "hw.memsize": "34359738368"}
UNKNOWN_NAME = "sysctl: unknown oid '%s'\n"

# `llama-bench --list-devices`, M4 Max 128 GB, macOS of 2025-11, shortened: ardanlabs/kronk#10. Metal's own lines go to
# stderr. Today's name of the device is MTL0 (AtomicBot-ai/atomic-agent#26, Andyyyy64/whichllm#152).
DEVICES_M4_MAX = """\
Available devices:
  MTL0: Apple M4 Max (98304 MiB, 98303 MiB free)
  BLAS: Accelerate (0 MiB, 0 MiB free)
"""

# `llama-server --list-devices` on a Linux host without a GPU, llama.cpp 0c1e570: run by us.
DEVICES_NONE = """\
Available devices:
  (none)
"""

# MiB of memory, MiB that Metal allowed it without an override. In this order: a 16 GB M4 on older macOS (11453.25 MB in
# ggml_metal_init's words), a 16 GB M1 Pro, an 18 GB M3 Pro (14302.25 MB), a 24 GB M4 and M5 Pro, a 32 GB M4, a 36 GB
# M4 Max (30150.67 MB), a 64 GB M5 Pro, 128 GB in ardanlabs/kronk#10 and antirez/ds4#893, a 192 GB M2 Ultra twice (the
# second in ggml-org/llama.cpp#18919).
METAL_CEILINGS = [
    (16384, 10922),
    (16384, 12124),
    (18432, 13639),
    (24576, 18186),
    (32768, 25557),
    (36864, 28753),
    (65536, 53084),
    (131072, 98304),
    (131072, 110100),
    (196608, 147456),
    (196608, 165150),
]

# `pmset -g` of a Mac mini (macOS Monterey upgraded to Sonoma): ezone.co.uk, "Setting up a power schedule for macOS with
# pmset"; the page's own annotations left out.
PMSET_MINI = """\
System-wide power settings:
Currently in use:
 disksleep            10
 powernap             1
 womp                 1
 networkoversleep     0
 sleep                10 (sleep prevented by sharingd, powerd, bluetoothd)
 Sleep On Power Button 1
 ttyskeepawake        1
 tcpkeepalive         1
 autorestart          1
 standby              0
 displaysleep         10
"""

# The same after `pmset -a disablesleep 1`: the line is printed with tabs (show_system_power_settings in Apple's
# PowerManagement, pmset.c).
PMSET_SLEEP_DISABLED = "System-wide power settings:\n SleepDisabled\t\t1\n" + PMSET_MINI.partition("\n")[2]

# `pmset -g custom` prints the name of each power source and a colon, then its settings (show_power_profile in pmset.c).
# In that form, the settings of the Mac mini above, which has one source; autorestart as before anyone sets it.
CUSTOM_DESKTOP = """\
AC Power:
 Sleep On Power Button 1
 autorestart          0
 standby              0
 ttyskeepawake        1
 hibernatefile        /var/vm/sleepimage
 powernap             1
 displaysleep         10
 womp                 1
 networkoversleep     0
 sleep                10
 tcpkeepalive         1
 disksleep            10
"""

# A server as GitHub sets up its runners: images/macos/scripts/build/configure-machine.sh in actions/runner-images.
CUSTOM_SERVER = CUSTOM_DESKTOP.replace("sleep                10", "sleep                0").replace(
    "autorestart          0", "autorestart          1"
)

# In that form, a laptop: two sources, sleep 1 on both (MacBook Pro, macOS 26.6.1: nix-darwin/nix-darwin#1850), and no
# autorestart, which a Mac with a battery does not have.
CUSTOM_LAPTOP = """\
Battery Power:
 Sleep On Power Button 1
 lowpowermode         0
 standby              1
 ttyskeepawake        1
 hibernatemode        3
 hibernatefile        /var/vm/sleepimage
 powernap             0
 displaysleep         2
 womp                 0
 sleep                1
 tcpkeepalive         1
 disksleep            10
AC Power:
 Sleep On Power Button 1
 lowpowermode         0
 standby              1
 ttyskeepawake        1
 hibernatemode        3
 hibernatefile        /var/vm/sleepimage
 powernap             1
 displaysleep         10
 womp                 1
 sleep                1
 tcpkeepalive         1
 disksleep            10
"""

# `fdesetup status`: the first lines as MunkiReport's filevault_status lists them; deferred enablement and progress from
# rtrouton/rtrouton_scripts, check_apfs_encryption. Beside them: is the disk locked at the next start?
FILEVAULT = {
    "FileVault is On.\n": True,
    "FileVault is Off.\n": False,
    "FileVault is On, but needs to be restarted to finish.\n": True,
    "FileVault is Off, but needs to be restarted to finish.\n": False,
    "FileVault is Off, but will be enabled after the next restart.\n": True,
    "FileVault is On.\nEncryption in progress: Percent completed = 12\n": True,
    "FileVault is Off.\nDecryption in progress: Percent completed = 42\n": False,
    "FileVault is Off.\nDeferred enablement appears to be active for user 'sam'.\n": True,
    "Error: The operation couldn't be completed.\n": None,
    "": None,
}
