#!/bin/sh
# Installs Apple's Command Line Tools without a dialog; run by root. softwareupdate offers them only while the mark is
# there, as the dialog itself has it (docs/macos.md).
set -eu
mark=/tmp/.com.apple.dt.CommandLineTools.installondemand.in-progress
trap 'rm -f "$mark"' EXIT
rm -f "$mark"
set -C # anybody may put a link there, and nothing is to be written where it leads
: > "$mark"
set +C

# "* Label: Command Line Tools for Xcode-16.4" from macOS 10.15 on, "* Command Line Tools (…) for Xcode-9.4" before.
offered=$(softwareupdate --list 2>&1) || true
label=$(printf '%s\n' "$offered" | sed -n -e 's/^ *\* Label: \(Command Line Tools.*\)$/\1/p' \
  -e 's/^ *\* \(Command Line Tools.*\)$/\1/p' | grep -v -i beta | sort -t - -k 2 -n | tail -n 1) || true
if [ -z "$label" ]; then
  echo "softwareupdate offers no Command Line Tools. Install them at the Mac: xcode-select --install" >&2
  exit 1
fi
softwareupdate --install "$label"
xcode-select -p
