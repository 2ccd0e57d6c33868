# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the simulated launchctl prints, in the form of macOS 14 to 26 (sources: docs/macos.md)."""

SIGNALS = {1: "Hangup", 2: "Interrupt", 3: "Quit", 6: "Abort trap", 9: "Killed", 11: "Segmentation fault"}
SIGNALS[15] = "Terminated"


def domain_words(domain):
    """A domain as error messages name it."""
    kind, _, uid = domain.partition("/")
    return "system" if kind == "system" else "user gui: %s" % uid if kind == "gui" else "user: %s" % uid


def print_job(job):
    """``launchctl print <domain>/<label>``."""
    keys = job.keys
    arguments = keys.get("ProgramArguments") or [keys["Program"]]
    lines = [
        "%s/%s = {" % (job.domain, job.label),
        "\tactive count = %d" % (1 if job.process else 0),
        "\tpath = " + job.path,
        "\ttype = " + ("LaunchDaemon" if job.domain == "system" else "LaunchAgent"),
        "\tstate = " + job.state,
        "",
        "\tprogram = " + keys.get("Program", arguments[0]),
        *_block("arguments", arguments),
        "",
    ]
    if "WorkingDirectory" in keys:
        lines += ["\tworking directory = " + keys["WorkingDirectory"], ""]
    for name, key in (("stdout path", "StandardOutPath"), ("stderr path", "StandardErrorPath")):
        if key in keys:
            lines.append("\t%s = %s" % (name, keys[key]))
    environment = {**keys.get("EnvironmentVariables", {}), "XPC_SERVICE_NAME": job.label}
    lines += [
        *_block("default environment", ["PATH => /usr/bin:/bin:/usr/sbin:/sbin"]),
        "",
        *_block("environment", ["%s => %s" % item for item in environment.items()]),
        "",
        "\tdomain = " + job.domain + ("" if job.domain == "system" else " [100003]"),
        "\tminimum runtime = %d" % job.throttle,
        "\texit timeout = %d" % job.exit_timeout,
        "\truns = %d" % job.runs,
    ]
    if job.process:
        lines.append("\tpid = %d" % job.pid)
    lines += [
        last_exit(job.last_exit),
        "",
        *_block("resource coalition", ["ID = 1140", "type = resource", "state = active", "active count = 1"]),
        "",
        "\tspawn type = " + {"Interactive": "interactive (4)"}.get(keys.get("ProcessType"), "daemon (3)"),
        "\tjetsam priority = 40",
    ]
    if keys.get("StartInterval"):
        lines.append("\trun interval = %d seconds" % keys["StartInterval"])
    properties = ["keepalive"] if keys.get("KeepAlive") is True else []
    properties += ["runatload"] if keys.get("RunAtLoad") else []
    return "\n".join([*lines, "", "\tproperties = " + " | ".join([*properties, "inferred program"]), "}", ""])


def last_exit(code):
    """A signal has a line of its own, which stands in place of the one for exit codes."""
    if code is None:
        return "\tlast exit code = (never exited)"
    if code < 0:
        return "\tlast terminating signal = %s: %d" % (SIGNALS.get(-code, "Unknown signal"), -code)
    return "\tlast exit code = %s" % {78: "78: EX_CONFIG"}.get(code, code)


def print_domain(domain, jobs, disabled):
    """``launchctl print <domain>``."""
    kind = domain.partition("/")[0]
    lines = ["%s = {" % domain, "\ttype = " + {"gui": "login"}.get(kind, kind), "\tservices = {"]
    lines += ["\t\t%8s %6s \t%s" % (job.pid or 0, _status(job), job.label) for job in jobs]
    return "\n".join([*lines, "\t}", "", *print_disabled(disabled).splitlines(), "}", ""])


def print_disabled(disabled):
    """``launchctl print-disabled <domain>``; ``disabled`` maps a label to whether it is."""
    words = ['\t\t"%s" => %s' % (label, "disabled" if off else "enabled") for label, off in sorted(disabled.items())]
    return "\n".join(["\tdisabled services = {", *words, "\t}", ""])


def print_list(jobs):
    """``launchctl list``: a status below zero is a signal."""
    return "PID\tStatus\tLabel\n" + "".join("%s\t%s\t%s\n" % (job.pid or "-", _status(job), job.label) for job in jobs)


def _status(job):
    return 0 if job.last_exit is None else job.last_exit


def _block(name, lines):
    return ["\t%s = {" % name, *("\t\t" + line for line in lines), "\t}"]
