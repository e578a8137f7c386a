// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/open_expectations.hpp"

namespace flowkin {

namespace {

/// How long after its XDES an expectation's child may still come. They are microseconds apart in the kernel;
/// a reader that lags sees both late.
constexpr nanoseconds patience = std::chrono::seconds(1);

/// More than the kernel keeps (nf_conntrack_expect_max is 4,096 at most by default): if XDES messages were
/// lost, what they would have removed must not pile up.
constexpr std::size_t most = 16'384;

bool matches(const Address& a, const Address& b, const Address& mask) {
    for (std::size_t i = 0; i < a.bytes.size(); ++i) {
        if (((a.bytes[i] ^ b.bytes[i]) & mask.bytes[i]) != 0) {
            return false;
        }
    }
    return true;
}

bool matches(const ExpectationMessage& expectation, const Tuple& child) {
    const Tuple& expected = expectation.expected;
    const Tuple& mask = expectation.mask;
    return expected.family == child.family && expected.protocol == child.protocol &&
           ((expected.source_port ^ child.source_port) & mask.source_port) == 0 &&
           ((expected.destination_port ^ child.destination_port) & mask.destination_port) == 0 &&
           matches(expected.source, child.source, mask.source) &&
           matches(expected.destination, child.destination, mask.destination);
}

}  // namespace

OpenExpectations::Index::iterator OpenExpectations::find(const ExpectationMessage& expectation) {
    auto [at, end] = by_master_.equal_range(expectation.master);
    for (; at != end; ++at) {
        const ExpectationMessage& known = at->second.expectation;
        if (!at->second.gone && known.id == expectation.id && known.expected == expectation.expected) {
            return at;
        }
    }
    return by_master_.end();
}

bool OpenExpectations::add(const ExpectationMessage& expectation, const Lineage& lineage) {
    if (find(expectation) != by_master_.end()) {
        return false;
    }
    if (by_master_.size() >= most) {
        return true;  // said, and not remembered
    }
    by_master_.emplace(
        expectation.master,
        Awaited{.expectation = expectation, .lineage = lineage, .gone = std::nullopt, .fulfilled = false});
    return true;
}

void OpenExpectations::remove(const ExpectationMessage& expectation, const Lineage& lineage, WallTime now) {
    auto at = find(expectation);
    if (at == by_master_.end()) {
        if (by_master_.size() >= most) {
            return;
        }
        at = by_master_.emplace(
            expectation.master,
            Awaited{
                .expectation = expectation, .lineage = lineage, .gone = std::nullopt, .fulfilled = false});
    }
    if (at->second.fulfilled) {
        by_master_.erase(at);
        return;
    }
    if (lineage.parent) {
        at->second.lineage = lineage;
    }
    at->second.gone = now;
    ++gone_;
}

std::optional<OpenExpectations::Awaited> OpenExpectations::fulfil(const Tuple& master, const Tuple& child) {
    auto [at, end] = by_master_.equal_range(master);
    auto best = by_master_.end();
    for (; at != end; ++at) {
        const Awaited& awaited = at->second;
        if (matches(awaited.expectation, child) &&
            (best == by_master_.end() || (awaited.gone && !best->second.gone))) {
            best = at;
        }
    }
    if (best == by_master_.end()) {
        return std::nullopt;
    }
    Awaited taken = best->second;
    if (taken.gone) {
        --gone_;
        by_master_.erase(best);
    } else {
        best->second.fulfilled = true;
    }
    return taken;
}

std::vector<OpenExpectations::Awaited> OpenExpectations::expire(WallTime now) {
    std::vector<Awaited> expired;
    if (gone_ == 0) {
        return expired;
    }
    for (auto at = by_master_.begin(); at != by_master_.end();) {
        if (at->second.gone && now - *at->second.gone >= patience) {
            expired.push_back(at->second);
            at = by_master_.erase(at);
            --gone_;
        } else {
            ++at;
        }
    }
    return expired;
}

}  // namespace flowkin
