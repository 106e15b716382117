#!/bin/sh
# Lays out Debian's own kernel for the lab, once, and says where it is: the last line. It has VFIO's type1 and KVM, and
# no iommufd. `lab-stock.sh amd64` is for the machine that we run on, `lab-stock.sh arm64` for the other one.
# What goes wrong is told in a line that begins with "error:".
#
# Packages are fetched and taken apart by the root that foreign-root.sh makes; the outcome is kept in a cache and named
# after this script's text and that root.
set -eu

die() {
    echo "error: $*" >&2
    exit 1
}

arch=$1
root=$(sh "$(dirname "$0")/foreign-root.sh" | tail -n 1)
[ -d "$root" ] || die "there is no root for foreign programs"
key=$(echo "$root" | cat "$0" - | sha256sum | cut -c 1-16)
stock=${root%/*}/lab-stock-$arch-$key
exec 9> "$stock.lock"
flock 9
if [ -d "$stock" ]; then
    echo "$stock"
    exit 0
fi

# What an interrupted run left behind.
rm -rf --one-file-system "$stock.part"
mkdir -p "$stock.part"
work=$(mktemp -d "$root/tmp/lab-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
inside=/tmp/${work##*/}
in_root() {
    chroot "$root" "$@" 9>&- 2>> "$stock.log" || die "$1 $2: $(tail -n 1 "$stock.log")"
}
# The root's own lists are gone, and it stays as it is: apt's state is in the folder that goes in the end.
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
apt="-q -o APT::Sandbox::User=root -o Dir::State::lists=$inside/lists -o Dir::Cache=$inside/cache"
# shellcheck disable=SC2086
in_root apt-get $apt update >&2
# shellcheck disable=SC2086
kernel=$(in_root apt-cache $apt depends "linux-image-cloud-$arch:$arch" |
    sed -n 's/^ *Depends: linux-image-\([0-9][^:]*\).*/\1/p')
[ -n "$kernel" ] || die "linux-image-cloud-$arch depends on no kernel"
in_root sh -c "cd $inside && apt-get $apt download linux-binary-$kernel:$arch linux-modules-$kernel:$arch" >&2
for package in "$work"/*.deb; do
    in_root dpkg -x "$inside/${package##*/}" "$inside/unpacked"
done

from=$work/unpacked/usr/lib/modules/$kernel
cp "$from/vmlinuz" "$stock.part/"
cp "$root/linux/$arch/busybox" "$stock.part/"
echo "$kernel" > "$stock.part/release"
modules=lib/modules/$kernel
mkdir -p "$stock.part/$modules"
# Whose modules VFIO and KVM are made of; a modprobe in the lab resolves what needs what.
for part in drivers/vfio drivers/iommu drivers/crypto/ccp virt arch/x86/kvm; do
    [ -d "$from/kernel/$part" ] || continue
    (cd "$from" && find "kernel/$part" -name '*.ko.xz') | while read -r file; do
        mkdir -p "$stock.part/$modules/${file%/*}"
        in_root busybox xzcat "$inside/unpacked/usr/lib/modules/$kernel/$file" \
            > "$stock.part/$modules/${file%.xz}"
    done
done
mkdir -p "$work/lib"
cp -r "$stock.part/lib/modules" "$work/lib/"
in_root busybox depmod -b "$inside" "$kernel"
cp "$work/$modules"/modules.* "$stock.part/$modules/"
mv "$stock.part" "$stock"
echo "$stock"
