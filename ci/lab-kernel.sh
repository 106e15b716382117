#!/bin/sh
# Makes the kernel of the lab, once, and says where it is: the last line. It is built of Debian's sources as
# lab/kernel.config says, in a Debian root of its own, which takes 10 minutes of two processors and more.
# What goes wrong is told in a line that begins with "error:".
#
# `lab-kernel.sh --cached` builds nothing. The kernel is kept in a cache and named after this script's text and the
# configuration: where one is changed, another kernel is made. A lock keeps two runs from one place.
set -eu

die() {
    echo "error: $*" >&2
    exit 1
}

here=$(dirname "$0")
config=$here/lab/kernel.config
key=$(cat "$0" "$config" | sha256sum | cut -c 1-16)
cache=${CXL_SIM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cxl-sim}
kernel=$cache/lab-$key
if [ -d "$kernel" ]; then
    echo "$kernel"
    exit 0
fi
[ "${1:-}" != --cached ] || die "there is no kernel of the lab; sh ci/lab-kernel.sh builds it in 10 minutes and more"

mkdir -p "$cache"
exec 9> "$kernel.lock"
flock 9
if [ -d "$kernel" ]; then
    echo "$kernel"
    exit 0
fi

[ "$(id -u)" = 0 ] || die "only root can make the root that the kernel is built in"
command -v mmdebstrap > /dev/null || die "no mmdebstrap: the root that the kernel is built in is made of Debian packages"

# The machine's own archive: where it takes its own release from.
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    sed -n "s/^$release main //p" | head -n 1)
[ -n "$mirror" ] || die "the sources of apt name no archive for the main part of $release"

# What an interrupted run left behind.
rm -rf --one-file-system "$kernel.root" "$kernel.part"

# Only the sources are of the newer suite: the compiler may be the release's.
mmdebstrap --variant=apt --mode=root \
    --include=linux-source-7.3,gcc,libc6-dev,make,flex,bison,bc,libelf-dev,xz-utils,cpio,kmod,perl \
    trixie "$kernel.root" "deb $mirror trixie main" "deb $mirror trixie-backports main" 2> "$kernel.log" >&2 ||
    die "mmdebstrap: $(grep -m 1 '^E:' "$kernel.log" || tail -n 1 "$kernel.log")"
version=$(chroot "$kernel.root" dpkg-query -W -f '${Version}' linux-source-7.3)

# Whoever waits for the machine meanwhile is served first. The compiler's checker wants /proc, which is mounted for no
# longer than a command takes.
in_root() {
    # shellcheck disable=SC2016
    with_proc='mount -t proc proc "$1/proc" && exec chroot "$1" nice -n 15 sh -euc "cd /usr/src; $2"'
    unshare --mount sh -euc "$with_proc" sh "$kernel.root" "$1" 9>&- >> "$kernel.log" 2>&1 ||
        die "$1: $(grep -m 1 'rror:' "$kernel.log" || tail -n 1 "$kernel.log")"
}
in_root "tar -xf linux-source-7.3.tar.xz && rm linux-source-7.3.tar.xz && mv linux-source-7.3 linux"
cp "$config" "$kernel.root/usr/src/lab.config"
in_root "make -s -C linux KCONFIG_ALLCONFIG=/usr/src/lab.config allnoconfig"

# An option whose conditions are not met is left out in silence.
sed -n '/^CONFIG_/p; / is not set$/p' "$config" | while read -r line; do
    grep -qxF "$line" "$kernel.root/usr/src/linux/.config" || die "the kernel's configuration has not: $line"
done
in_root "make -s -C linux -j$(nproc) bzImage"

mkdir "$kernel.part"
linux=$kernel.root/usr/src/linux
cp "$linux/arch/x86/boot/bzImage" "$linux/.config" "$kernel.part/"
release=$(chroot "$kernel.root" make -s -C /usr/src/linux kernelrelease)
# With these modprobe knows that there is nothing to load.
mkdir -p "$kernel.part/lib/modules/$release"
cp "$linux/modules.builtin" "$kernel.part/lib/modules/$release/"
: > "$kernel.part/lib/modules/$release/modules.dep"
echo "linux-source-7.3 $version" > "$kernel.part/package"
rm -rf --one-file-system "$kernel.root"
mv "$kernel.part" "$kernel"
echo "$kernel"
