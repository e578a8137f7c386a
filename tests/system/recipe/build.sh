#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh FOLDER PACKAGE...: makes what a guest boots from, out of Debian packages alone:
#     root/       Debian 12 with systemd, the packages, the agent, and the modules of a stock kernel: what a container boots
#     root.ext4   the same as a file system: what a virtual machine boots
#     vmlinuz, initramfs    Debian's kernel for virtual machines, and what loads the modules of its disk
# Nothing is installed on the host, and the host's own package sources are used.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
folder=$1
shift
packages=("$@")
root=$folder/root kernel=$folder/kernel

# The host's sources of Debian 12 itself, and not what else it may know.
sources() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
        grep -E ' bookworm(-updates|-security)? ' | sort -u
}

download_kernel() {
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -nE 's/.*Depends: (linux-image-[0-9].*)/\1/p' | head -n 1)
    [[ -n $package ]] && (cd "$folder/deb" && apt-get download --quiet --quiet -o APT::Sandbox::User=root "$package")
}

fetch_kernel() {
    mkdir "$folder/deb"
    # Lists that are old, or none, name what is no longer there.
    download_kernel || { apt-get --quiet --quiet update && download_kernel; }
    dpkg-deb --extract "$folder/deb/"*.deb "$kernel"
    rm -r "$folder/deb"
    grep --quiet '^CONFIG_NETFILTER_NETLINK_GLUE_CT=y' "$kernel"/boot/config-*
    cp "$kernel"/boot/vmlinuz-* "$folder/vmlinuz"
    depmod --basedir "$kernel" "$(kernel_version)"
}

kernel_version() { basename "$kernel"/lib/modules/*; }

make_root() {
    local list
    list=$(sources)
    [[ -n $list ]] || { printf 'this machine names no source of packages\n' >&2; return 1; }
    printf '%s\n' "$list" >"$folder/sources.list"
    mmdebstrap --mode=root --variant=minbase --include="$(IFS=, && printf '%s' "${packages[*]}")" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' \
        bookworm "$root" "$folder/sources.list"
}

# What tests need of the kernel's modules: everything about networks, and devices of network.
add_modules() {
    local version part from=$kernel/lib/modules to=$root/lib/modules
    version=$(kernel_version)
    mkdir -p "$to/$version/kernel/drivers"
    cp "$from/$version"/modules.* "$to/$version"
    for part in net lib crypto arch drivers/net drivers/virtio; do
        [[ -e $from/$version/kernel/$part ]] || continue
        cp -r "$from/$version/kernel/$part" "$to/$version/kernel/$(dirname "$part")/"
    done
    depmod --basedir "$root" "$version"
}

add_settings() {
    printf 'guest\n' >"$root/etc/hostname"
    printf '127.0.0.1 localhost guest\n' >"$root/etc/hosts"
    printf '%032d\n' 1 >"$root/etc/machine-id"
    : >"$root/etc/fstab"
    local units=$root/etc/systemd/system unit
    # What no test needs, and what would look for devices: an emulated machine is slow.
    for unit in getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer logrotate.timer systemd-tmpfiles-clean.timer \
        systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
        systemd-hwdb-update.service systemd-logind.service systemd-user-sessions.service systemd-update-utmp.service \
        systemd-update-utmp-runlevel.service systemd-random-seed.service systemd-pstore.service \
        systemd-ask-password-wall.path systemd-ask-password-console.path systemd-binfmt.service \
        sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount; do
        ln -sf /dev/null "$units/$unit"
    done
    ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
    install -m 755 "$here/agent.py" "$root/usr/local/sbin/guest-agent"
    install -m 644 "$here/guest-agent.service" "$units/guest-agent.service"
    mkdir -p "$units/multi-user.target.wants"
    ln -sf ../guest-agent.service "$units/multi-user.target.wants/guest-agent.service"
}

make_initramfs() {
    local version tree=$folder/tree number=100 module
    version=$(kernel_version)
    mkdir -p "$tree"/{bin,dev,proc,sys,modules,root}
    cp /bin/busybox "$tree/bin/busybox"
    install -m 755 "$here/init.sh" "$tree/init"
    modprobe --dirname "$kernel" --set-version "$version" --config /dev/null --all --show-depends \
        virtio_pci virtio_blk virtio_console virtio_rng ext4 | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
        while read -r module; do
            cp "$module" "$tree/modules/$((++number))-$(basename "$module")"
        done
    (cd "$tree" && find . -print0 | cpio --null --create --format=newc --quiet | gzip -1) >"$folder/initramfs"
    rm -r "$tree"
}

make_disk() {
    # Room for what a test writes; the file has holes there.
    truncate --size=2G "$folder/root.ext4"
    mke2fs -q -t ext4 -O ^has_journal -d "$root" "$folder/root.ext4"
}

main() {
    fetch_kernel &
    make_root
    wait $!
    add_modules
    add_settings
    make_initramfs
    make_disk
    rm -r "$kernel" "$folder/sources.list"
}

main
