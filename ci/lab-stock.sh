#!/bin/sh
# Lays out Debian's own kernel for the lab, once, and says where it is: the last line. It has VFIO's type1 and KVM, and
# no iommufd. `lab-stock.sh amd64` is for the machine that we run on, `lab-stock.sh arm64` for the other one.
# What goes wrong is told in a line that begins with "error:".
set -eu
. "$(dirname "$0")/laid-out.sh"

arch=$1
begin "lab-stock-$arch"
# shellcheck disable=SC2086
kernel=$(in_root apt-cache $apt depends "linux-image-cloud-$arch:$arch" |
    sed -n 's/^ *Depends: linux-image-\([0-9][^:]*\).*/\1/p')
[ -n "$kernel" ] || die "linux-image-cloud-$arch depends on no kernel"
unpack "linux-binary-$kernel:$arch" "linux-modules-$kernel:$arch"

from=$work/unpacked/usr/lib/modules/$kernel
cp "$from/vmlinuz" "$place.part/"
cp "$root/linux/$arch/busybox" "$place.part/"
echo "$kernel" > "$place.part/release"
modules=lib/modules/$kernel
mkdir -p "$place.part/$modules"
# Whose modules VFIO and KVM are made of; a modprobe in the lab resolves what needs what.
for part in drivers/vfio drivers/iommu drivers/crypto/ccp virt arch/x86/kvm; do
    [ -d "$from/kernel/$part" ] || continue
    (cd "$from" && find "kernel/$part" -name '*.ko.xz') | while read -r file; do
        mkdir -p "$place.part/$modules/${file%/*}"
        in_root busybox xzcat "$inside/unpacked/usr/lib/modules/$kernel/$file" \
            > "$place.part/$modules/${file%.xz}"
    done
done
mkdir -p "$work/lib"
cp -r "$place.part/lib/modules" "$work/lib/"
in_root busybox depmod -b "$inside" "$kernel"
cp "$work/$modules"/modules.* "$place.part/$modules/"
end
