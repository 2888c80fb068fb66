#!/bin/sh
# Make a Chromium available to the browser tests where that needs no question: Debian, as root or with sudo that does
# not ask. Anywhere else say what to do; the browser tests then skip, with the reason. Never fails.
set -u

for program in chromium chromium-browser google-chrome; do
    if command -v "$program" >/dev/null 2>&1; then
        exit 0
    fi
done

by_hand="Browser tests will be skipped: install Chromium by hand to run them."
if ! command -v apt-get >/dev/null 2>&1 || ! grep -q '^ID=debian' /etc/os-release 2>/dev/null; then
    echo "No Chromium here, and this is not Debian. $by_hand"
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    sudo=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "No Chromium here, and no right to install it. $by_hand (apt-get install chromium fonts-dejavu-core)"
    exit 0
fi

echo "Installing Chromium for the browser tests …"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null ||
    echo "Chromium could not be installed. $by_hand"
exit 0
