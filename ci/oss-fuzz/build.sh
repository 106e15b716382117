#!/bin/bash
# Builds the fuzz targets as OSS-Fuzz and ClusterFuzzLite ask for it.
#
#   in   $SRC/cxl-sim   the sources           $SANITIZER   address, memory, undefined, coverage or none
#        $RUSTFLAGS     what the image adds   $ARCHITECTURE, $FUZZING_ENGINE are theirs; libFuzzer is all there is
#   out  $OUT/TARGET, TARGET.dict, TARGET.options, TARGET_seed_corpus.zip
#
# `cargo ci oss-fuzz` runs this very script with the toolchain of the machine. It calls cargo itself and not
# cargo-fuzz, so that both are the same build. The toolchain must be a nightly one, as it is in their image.

set -euo pipefail

sources=$SRC/cxl-sim
host=$(rustc -vV | sed -n 's/^host: //p')

# Debug assertions bring the checks of overflow, and what unsafe functions of the standard library ask for.
flags="--cfg fuzzing -Cforce-frame-pointers -Cdebug-assertions"
# The coverage that guides libFuzzer.
counters="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
counters="$counters -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
standard=
left_out=
case $SANITIZER in
    # Their coverage comes of what the image has in RUSTFLAGS.
    coverage) counters= ;;
    none) ;;
    # It must see every write to memory: those of the standard library, and those of the system, which it knows from
    # libc alone. It does not know that of fstat, by which a server looks at the files that a client maps.
    memory)
        flags="$flags -Zsanitizer=memory --cfg rustix_use_libc"
        standard=-Zbuild-std
        left_out="life session stream"
        ;;
    # What the compiler does not have, it refuses by name.
    *) flags="$flags -Zsanitizer=$SANITIZER" ;;
esac

cd "$sources"
export RUSTFLAGS="${RUSTFLAGS:-} $flags $counters"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$sources/fuzz/target/oss-fuzz-$SANITIZER}
# The target is named so that the flags are not for build scripts.
cargo build --release --manifest-path fuzz/Cargo.toml --target "$host" $standard

for file in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$file" .rs)
    # It does nothing, and others are measured against it.
    [ "$target" = nothing ] && continue
    case " $left_out " in *" $target "*) continue ;; esac
    cp "$CARGO_TARGET_DIR/$host/release/$target" "$OUT/"
    cp ci/oss-fuzz/registers.dict "$OUT/$target.dict"
    printf '[libfuzzer]\nmax_len = 8192\n' > "$OUT/$target.options"
    # What was found once, and for those that read texts all texts that there are.
    case $target in
        scenario_file) seeds=scenarios ;;
        profile_file) seeds=sim-device/profiles ;;
        *) seeds= ;;
    esac
    folder=$(mktemp -d)
    if [ -n "$seeds" ]; then
        find "$seeds" -name '*.toml' | sort | while read -r seed; do
            cp "$seed" "$folder/${seed//\//-}"
        done
    fi
    if [ -d "fuzz/regressions/$target" ]; then
        cp -r "fuzz/regressions/$target/." "$folder/"
    fi
    if [ -n "$(ls -A "$folder")" ]; then
        zip -q -j -r "$OUT/${target}_seed_corpus.zip" "$folder"
    fi
    rm -r "$folder"
done
