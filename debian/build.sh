#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build.sh FOLDER: the Debian packages of this tree, source and binary, into FOLDER. The build sees a copy without what
# earlier builds left here; the copy lies at the same place each time, so that ccache knows it again.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1")

rm -rf "$folder"
mkdir -p "$folder/work/flowkin"
tar --create --exclude=./build --exclude=./.git --exclude=__pycache__ --exclude=.pytest_cache . |
    tar --extract --touch --directory "$folder/work/flowkin"
cd "$folder/work/flowkin"
# debhelper gives the build another HOME, and so another cache.
CCACHE_DIR=$(ccache --get-config cache_dir)
export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_DIR
if ! dpkg-buildpackage --no-sign --jobs="$(nproc)" >"$folder/build.log" 2>&1; then
    tail -n 30 "$folder/build.log" | cut --characters=-300 >&2
    exit 1
fi
mv "$folder"/work/flowkin*_* "$folder"
rm -r "$folder/work"
