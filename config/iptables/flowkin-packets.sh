#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The rules of config/nftables/flowkin-packets.nft for iptables and ip6tables:
#
#     flowkin-packets.sh on     adds them, or replaces those that are there
#     flowkin-packets.sh off    takes them away
#
# They stand in chains of their own in the table mangle, change no packet and no verdict, and only log, to group 5.
# iptables has no word for a flow's id, so there is no such form of flowkin-packets-id.nft: where the kernel sends no
# conntrack section, these packets are joined with their flows by the tuple.
set -eu

group=5

# rules_of TOOL HOOK
rules_of() {
    tool=$1 hook=$2 chain=FLOWKIN_$2
    log() {
        prefix=$1
        shift
        "$tool" -w -t mangle -A "$chain" "$@" -j NFLOG --nflog-group "$group" --nflog-prefix "flowkin:$prefix"
    }
    related="-m conntrack --ctstate RELATED"
    # Types and codes by number, as not all have names here: what a REJECT may send, and all errors.
    if [ "$tool" = iptables ]; then
        protocol="-p icmp --icmp-type"
        refusals="3/2 3/3 3/9 3/10 3/13"
        errors="3 4 5 11 12"
    else
        protocol="-p icmpv6 --icmpv6-type"
        refusals="1/1 1/4 1/5 1/6"
        errors="1 2 3 4"
    fi
    case $hook in
    PREROUTING)
        log invalid -m conntrack --ctstate INVALID
        return
        ;;
    INPUT) "$tool" -w -t mangle -A "$chain" -i lo -j RETURN ;;
    OUTPUT)
        # shellcheck disable=SC2086 # words, on purpose
        log rejected -p tcp --tcp-flags RST RST $related
        for refusal in $refusals; do
            # shellcheck disable=SC2086
            log rejected $protocol "$refusal" $related
            # shellcheck disable=SC2086
            "$tool" -w -t mangle -A "$chain" $protocol "$refusal" $related -j RETURN
        done
        log invalid -m conntrack --ctstate INVALID
        ;;
    esac
    for error in $errors; do
        # shellcheck disable=SC2086
        log error $protocol "$error" $related
    done
    log reset -p tcp --tcp-flags RST RST -m conntrack --ctstate ESTABLISHED
}

case ${1-} in
on | off) ;;
*)
    echo "usage: $0 on|off" >&2
    exit 64
    ;;
esac

for tool in iptables ip6tables; do
    for hook in PREROUTING INPUT FORWARD OUTPUT; do
        while "$tool" -w -t mangle -D "$hook" -j "FLOWKIN_$hook" 2>/dev/null; do :; done
        if "$tool" -w -t mangle -F "FLOWKIN_$hook" 2>/dev/null; then
            "$tool" -w -t mangle -X "FLOWKIN_$hook"
        fi
        if [ "$1" = on ]; then
            "$tool" -w -t mangle -N "FLOWKIN_$hook"
            rules_of "$tool" "$hook"
            "$tool" -w -t mangle -I "$hook" -j "FLOWKIN_$hook"
        fi
    done
done
