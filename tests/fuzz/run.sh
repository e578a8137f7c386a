#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs each fuzz target of BUILD_DIR for SECONDS over its corpus. A crash, a hang or an exit() fails, and its input is
# kept; what else is found on the way is not.
set -eu
if [ $# -ne 2 ]; then
    echo "usage: $0 BUILD_DIR SECONDS" >&2
    exit 64
fi
build=$1
seconds=$2
corpus=$(cd "$(dirname "$0")" && pwd)/corpus
finds=$(mktemp -d "${TMPDIR:-/tmp}/flowkin-fuzz.XXXXXX")

fuzz() { # fuzz TARGET: in the background, two at a time
    name=$(basename "$1" _fuzz)
    mkdir "$finds/$name"
    # New inputs go to the first folder: the corpus stays as it is.
    set -- "$1" "$finds/$name"
    [ ! -d "$corpus/$name" ] || set -- "$@" "$corpus/$name"
    target=$1
    shift
    if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$finds/$name-" "$@" >"$finds/$name.log" 2>&1; then
        echo "fuzz: $name: $(sed -n 's/^Done \([0-9]* runs\).*/\1/p' "$finds/$name.log") in $seconds s, no crash"
    else
        touch "$finds/failed"
        tail -n 60 "$finds/$name.log" >&2
        echo "fuzz: $name failed; its input and log are in $finds" >&2
    fi
}

count=0
for target in "$build"/tests/fuzz/*_fuzz; do
    [ -x "$target" ] || continue
    fuzz "$target" &
    count=$((count + 1))
    [ $((count % 2)) -ne 0 ] || wait
done
wait
[ ! -e "$finds/failed" ] || exit 1
rm -rf "$finds"
if [ "$count" -eq 0 ]; then
    echo "fuzz: no targets in $build/tests/fuzz (configure with -DFLOWKIN_FUZZ=ON)" >&2
    exit 1
fi
