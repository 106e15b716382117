#!/bin/sh
# Lays out the headers that a kernel of this year has for programs, once, and says where they are: the last line. Those
# of the machine that we run on may be from before there was an iommufd.
# What goes wrong is told in a line that begins with "error:".
set -eu
. "$(dirname "$0")/laid-out.sh"

begin lend-headers
unpack linux-libc-dev
[ -f "$work/unpacked/usr/include/linux/iommufd.h" ] || die "linux-libc-dev has no linux/iommufd.h"
cp -r "$work/unpacked/usr/include/linux" "$work/unpacked/usr/include/asm-generic" "$place.part/"
end
