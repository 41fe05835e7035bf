#!/bin/sh
# Fetch Hetzner's own command into build/hcloud, for tests/test_hcloud_cli.py, as Debian ships it.
# apt checks Debian's signature; nothing is installed on this machine. Without apt or a network those
# tests are skipped, and this says so and is no failure.
set -eu
cd "$(dirname "$0")/.."
hcloud=build/hcloud/usr/bin/hcloud
work=build/hcloud-apt
skipped() { echo "hcloud: $1: its tests are skipped, unless the command is on the PATH."; exit 0; }

[ ! -x "$hcloud" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skipped "no apt here"
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
set -- -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
	-o APT::Sandbox::User="$(id -un)"
fetch() { (cd "$work" && apt-get "$@" download hcloud-cli) >"$work/log" 2>&1; }
if ! fetch "$@"; then
	# The machine's own lists of packages are missing or too old: fetch some for this alone.
	set -- "$@" -o Dir::State::Lists="$PWD/$work/lists" -o Dir::Cache="$PWD/$work/cache"
	{ apt-get "$@" update >"$work/log" 2>&1 && fetch "$@"; } ||
		skipped "apt has no hcloud-cli for us ($work/log)"
fi
dpkg-deb -x "$work"/hcloud-cli_*.deb build/hcloud
rm -rf "$work"
