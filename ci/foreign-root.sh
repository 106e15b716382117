#!/bin/sh
# Makes a Debian root with other people's programs (QEMU, lspci, iasl), once, and says where it is: the last line.
# What goes wrong is told in a line that begins with "error:".
#
# The root is kept in a cache and named after this script's text: a changed script makes a new one. It is built
# beside its place and then renamed, so a root that is there is whole. A lock keeps two runs from one place.
set -eu

die() {
    echo "error: $*" >&2
    exit 1
}

key=$(sha256sum "$0" | cut -c 1-16)
cache=${CXL_SIM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cxl-sim}
root=$cache/foreign-$key
mkdir -p "$cache"

exec 9> "$root.lock"
flock 9
if [ -d "$root" ]; then
    echo "$root"
    exit 0
fi

[ "$(id -u)" = 0 ] || die "only root can make a root for foreign programs"
command -v apt-get > /dev/null || die "no apt-get: the root for foreign programs is made of Debian packages"

# The machine's own archive: where it takes its own release from.
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    sed -n "s/^$release main //p" | head -n 1)
[ -n "$mirror" ] || die "the sources of apt name no archive for the main part of $release"

if ! command -v mmdebstrap > /dev/null; then
    # A source that does not answer does no harm unless the package is missing in the end.
    apt-get -q update >&2 || :
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends mmdebstrap >&2 || die "mmdebstrap cannot be installed"
fi

# What an interrupted run left behind.
rm -rf --one-file-system "$root.part"

# The newer suite is preferred as a whole: naming it for single packages ends in dependencies that cannot be met.
# $1 is the new root: it is for the shell that runs the hook.
# shellcheck disable=SC2016
prefer='mkdir -p "$1/etc/apt/preferences.d"
    printf "Package: *\nPin: release n=trixie-backports\nPin-Priority: 600\n" > "$1/etc/apt/preferences.d/newer"'
mmdebstrap --variant=apt --mode=root --setup-hook="$prefer" --skip=cleanup/apt/lists --architectures=amd64,arm64 \
    --include=qemu-system-x86,qemu-system-arm,qemu-user,pciutils,acpica-tools,busybox-static \
    trixie "$root.part" "deb $mirror trixie main" "deb $mirror trixie-backports main" 2> "$root.log" >&2 ||
    die "mmdebstrap: $(grep -m 1 '^E:' "$root.log" || tail -n 1 "$root.log")"

# Anything older would be another judge: these are the first with vfio-user and with CXL.
at_least() {
    # shellcheck disable=SC2016
    found=$(chroot "$root.part" dpkg-query -W -f '${Version}' "$1")
    chroot "$root.part" dpkg --compare-versions "$found" ge "$2" || die "$1 is $found, older than $2"
}
at_least qemu-system-x86 1:11.1
at_least pciutils 1:3.13

# Kernels to boot inside of QEMU, those of their modules that look at CXL tables, a shell, and firmware: as files,
# nothing of it is installed.
in_root() {
    chroot "$root.part" "$@" 2>> "$root.log" || die "$1 $2: $(tail -n 1 "$root.log")"
}
unpacked=tmp/unpacked
unpack() {
    in_root sh -c "cd /tmp && apt-get -q download $*" >&2
    for package in "$root.part"/tmp/*.deb; do
        in_root dpkg -x "/tmp/${package##*/}" "/$unpacked"
        rm "$package"
    done
}
for arch in amd64 arm64; do
    image=linux-image-cloud-$arch:$arch
    kernel=$(in_root apt-cache depends "$image" | sed -n 's/^ *Depends: linux-image-\([0-9][^:]*\).*/\1/p')
    unpack "linux-binary-$kernel:$arch" "linux-modules-$kernel:$arch" "busybox-static:$arch"
    mkdir -p "$root.part/linux/$arch"
    mv "$root.part/$unpacked/usr/lib/modules/$kernel/vmlinuz" "$root.part/$unpacked/usr/bin/busybox" \
        "$root.part/linux/$arch/"
    for module in libnvdimm cxl_pmem cxl_acpi; do
        file=$(cd "$root.part" && find $unpacked -name "$module.ko.xz")
        [ -n "$file" ] || die "linux-modules-$kernel has no $module"
        in_root busybox xzcat "/$file" > "$root.part/linux/$arch/$module.ko"
    done
    rm -r "${root:?}.part/$unpacked"
done
unpack qemu-efi-aarch64
mv "$root.part/$unpacked/usr/share/qemu-efi-aarch64/QEMU_EFI.fd" "$root.part/linux/"
rm -r "${root:?}.part/$unpacked" "$root.part/var/lib/apt/lists"

# fwts is in no released suite. A root of its own has it, with libraries as new; where there is none, the reason is kept.
mmdebstrap --variant=apt --mode=root --aptopt='Acquire::Check-Valid-Until "false"' --include=fwts \
    forky "$root.part/forky" "deb $mirror forky main" 2> "$root.log" >&2 || {
    rm -rf --one-file-system "$root.part/forky"
    { grep -m 1 '^E:' "$root.log" || tail -n 1 "$root.log"; } > "$root.part/forky.missing"
}

mv "$root.part" "$root"
echo "$root"
