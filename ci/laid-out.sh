#!/bin/sh
# Read by scripts that lay out something of Debian's packages in a cache, once: `. laid-out.sh`.
#
# Packages are fetched and taken apart by the root that foreign-root.sh makes; the outcome is named after the texts of
# the script and of this file, and after that root.

die() {
    echo "error: $*" >&2
    exit 1
}

# begin NAME: ends the script with the place as its last line where it has been laid out before. Else there are
# $root, $place for what is laid out, to be made as $place.part, and $work, which the root sees as $inside.
begin() {
    here=$(dirname "$0")
    root=$(sh "$here/foreign-root.sh" | tail -n 1)
    [ -d "$root" ] || die "there is no root for foreign programs"
    place=${root%/*}/$1-$(echo "$root" | cat "$0" "$here/laid-out.sh" - | sha256sum | cut -c 1-16)
    exec 9> "$place.lock"
    flock 9
    if [ -d "$place" ]; then
        echo "$place"
        exit 0
    fi
    # What an interrupted run left behind.
    rm -rf --one-file-system "$place.part"
    work=$(mktemp -d "$root/tmp/laid-out-XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    inside=/tmp/${work##*/}
    # The root's own lists are gone, and it stays as it is: apt's state is in the folder that goes in the end.
    mkdir -p "$place.part" "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
    apt="-q -o APT::Sandbox::User=root -o Dir::State::lists=$inside/lists -o Dir::Cache=$inside/cache"
    # shellcheck disable=SC2086
    in_root apt-get $apt update >&2
}

in_root() {
    chroot "$root" "$@" 9>&- 2>> "$place.log" || die "$1 $2: $(tail -n 1 "$place.log")"
}

# unpack PACKAGE...: their files are in $work/unpacked then.
unpack() {
    in_root sh -c "cd $inside && apt-get $apt download $*" >&2
    for package in "$work"/*.deb; do
        in_root dpkg -x "$inside/${package##*/}" "$inside/unpacked"
    done
}

# It is whole: it gets its name, which is the last line.
end() {
    mv "$place.part" "$place"
    echo "$place"
}
