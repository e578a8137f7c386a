// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "flow/flow.hpp"

namespace flowkin {

/// A flow's id out of the mark of a packet, where a rule put it there (`meta mark set ct id`).
///
/// Which byte order the id has in the mark depends on the kernel, on the tool that loaded the rule and on the
/// machine; and a mark may be anything else, as policy routing uses it. So it is learnt, from packets whose
/// flow is known by its tuple: until a few in a row agree, a mark says nothing. When marks go on to
/// contradict what was learnt, it is forgotten.
class MarkedFlowId {
  public:
    /// A packet with this mark belongs to a flow with this id.
    void learn(Mark mark, KernelFlowId id) {
        const Mark swapped = __builtin_bswap32(mark);
        if (mark == swapped) {
            return;  // says the same in both orders
        }
        const Order seen = mark == id ? Order::as_is : swapped == id ? Order::swapped : Order::unknown;
        if (order_ != Order::unknown) {
            contradictions_ = seen == order_ ? 0 : contradictions_ + 1;
            if (contradictions_ >= contradictions_to_forget) {
                *this = {};
            }
            return;
        }
        agreeing_ = seen != Order::unknown && seen == candidate_ ? agreeing_ + 1 : 1;
        candidate_ = seen;
        if (candidate_ != Order::unknown && agreeing_ >= agreeing_to_believe) {
            order_ = candidate_;
        }
    }

    /// Empty: there is no mark, or nothing is learnt so far.
    std::optional<KernelFlowId> id(Mark mark) const {
        if (mark == 0 || order_ == Order::unknown) {
            return std::nullopt;
        }
        return order_ == Order::as_is ? mark : __builtin_bswap32(mark);
    }

  private:
    enum class Order : std::uint8_t { unknown, as_is, swapped };
    static constexpr unsigned agreeing_to_believe = 3;
    static constexpr unsigned contradictions_to_forget = 8;

    Order order_ = Order::unknown;
    Order candidate_ = Order::unknown;
    unsigned agreeing_ = 0;
    unsigned contradictions_ = 0;
};

}  // namespace flowkin
