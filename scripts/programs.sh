#!/bin/sh
# Make the programs that some tests need available where that needs no question: Debian, as root or with sudo that does
# not ask. Anywhere else say what to do; those tests then skip, with the reason. Never fails.
set -u

is_there() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 && return 0
    done
    return 1
}

missing=""
is_there chromium chromium-browser google-chrome || missing="$missing chromium fonts-dejavu-core"
is_there redis-server valkey-server || missing="$missing redis-server"
is_there mosquitto || missing="$missing mosquitto"
is_there mosquitto_sub || missing="$missing mosquitto-clients"
# Debian keeps the server's programs out of the way; -f, since a pattern that fits nothing stays as it is.
postgres=$(echo /usr/lib/postgresql/*/bin/initdb)
is_there initdb || [ -f "${postgres%% *}" ] || missing="$missing postgresql"
[ -n "$missing" ] || exit 0

by_hand="Tests that need them will be skipped; install by hand to run them:$missing"
if ! command -v apt-get >/dev/null 2>&1 || ! grep -q '^ID=debian' /etc/os-release 2>/dev/null; then
    echo "This is not Debian. $by_hand"
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    sudo=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "No right to install programs. $by_hand"
    exit 0
fi

echo "Installing for the tests:$missing …"
$sudo apt-get update -qq
# A policy that says no: the tests start their own servers, the system shall not.
# shellcheck disable=SC2086 - a list of words
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    echo "Not everything could be installed. $by_hand"
exit 0
