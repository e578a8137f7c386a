#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# container.sh ROOT SHARED NAME CGROUP...: boots systemd from the folder ROOT, which stays as it is; SHARED is /guest inside. In a
# mount namespace and in control groups of its own: who ends its processes and removes those groups leaves nothing behind.
set -eu
if [ "$1" != --inside ]; then
    exec unshare --mount --propagation private "$0" --inside "$@"
fi
root=$2 shared=$3 name=$4
shift 4
for group in "$@"; do
    echo $$ >"$group/cgroup.procs"
done
mount -t tmpfs -o mode=755,size=4g tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
alone=
[ -d /run/systemd/system ] || alone=--keep-unit # no systemd outside, which would give a unit
# shellcheck disable=SC2086 # none, or one word
exec systemd-nspawn --quiet --boot --directory=/mnt/root --register=no $alone --private-network \
    --capability=CAP_NET_ADMIN --bind="$shared:/guest" --console=pipe --machine="$name"
