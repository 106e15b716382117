#!/bin/sh
# Lays out the headers that a kernel of this year has for programs, once, and says where they are: the last line. Those
# of the machine that we run on may be from before there was an iommufd.
# What goes wrong is told in a line that begins with "error:".
#
# The package is fetched and taken apart by the root that foreign-root.sh makes; the outcome is kept in a cache and
# named after this script's text and that root.
set -eu

die() {
    echo "error: $*" >&2
    exit 1
}

root=$(sh "$(dirname "$0")/foreign-root.sh" | tail -n 1)
[ -d "$root" ] || die "there is no root for foreign programs"
key=$(echo "$root" | cat "$0" - | sha256sum | cut -c 1-16)
headers=${root%/*}/lend-headers-$key
exec 9> "$headers.lock"
flock 9
if [ -d "$headers" ]; then
    echo "$headers"
    exit 0
fi

# What an interrupted run left behind.
rm -rf --one-file-system "$headers.part"
work=$(mktemp -d "$root/tmp/lend-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
inside=/tmp/${work##*/}
in_root() {
    chroot "$root" "$@" 9>&- 2>> "$headers.log" || die "$1 $2: $(tail -n 1 "$headers.log")"
}
# The root's own lists are gone, and it stays as it is: apt's state is in the folder that goes in the end.
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
apt="-q -o APT::Sandbox::User=root -o Dir::State::lists=$inside/lists -o Dir::Cache=$inside/cache"
# shellcheck disable=SC2086
in_root apt-get $apt update >&2
in_root sh -c "cd $inside && apt-get $apt download linux-libc-dev" >&2
for package in "$work"/*.deb; do
    in_root dpkg -x "$inside/${package##*/}" "$inside/unpacked"
done
[ -f "$work/unpacked/usr/include/linux/iommufd.h" ] || die "linux-libc-dev has no linux/iommufd.h"

mkdir "$headers.part"
cp -r "$work/unpacked/usr/include/linux" "$work/unpacked/usr/include/asm-generic" "$headers.part/"
mv "$headers.part" "$headers"
echo "$headers"
