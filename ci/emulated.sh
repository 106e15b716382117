#!/bin/sh
# Runs an aarch64 program under an emulator: `emulated.sh EMULATOR PROGRAM ...`.
#
# A program that starts another leaves that to the kernel, which knows no aarch64. So the kernel is told of the
# emulator (binfmt_misc), in a user namespace of our own: it needs no root, Linux 6.7 or newer, and ends with us.
set -eu

if [ "$1" != --inside ]; then
    exec unshare --map-root-user --mount sh "$0" --inside "$@"
fi
emulator=$2
shift 2

mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
# The ELF header of an aarch64 program: 64 bits, little endian, type 2 or 3 (ET_EXEC, ET_DYN), machine 183. F opens
# the emulator now, so that a program finds it from any root.
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s\n' ":aarch64:M::$magic:$mask:$emulator:F" > /proc/sys/fs/binfmt_misc/register
exec "$@"
