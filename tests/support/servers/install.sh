#!/bin/sh
# Installs the servers that the tests talk to from Debian, where they are missing; none of them is started for that.
set -eu
packages="ngircd dovecot-imapd dovecot-lmtpd postfix mosquitto prosody"

# shellcheck disable=SC2086  # they are words
dpkg-query --show --showformat='${db:Status-Abbrev}\n' $packages 2>/dev/null | grep -c '^ii' | grep -qx 6 && exit 0
echo "chat and mail servers for the tests are missing: installing them" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
