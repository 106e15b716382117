#!/bin/bash
# What ClusterFuzzLite looks for by this name.
exec "$SRC/cxl-sim/ci/oss-fuzz/build.sh"
