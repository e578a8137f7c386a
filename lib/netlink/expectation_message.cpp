// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/conntrack_message.hpp"
#include "netlink/tuple_attribute.hpp"

namespace flowkin::wire {

Check read_expectation(Bytes attributes, Family family, ExpectationMessage& message) {
    bool has_expected = false;
    bool has_mask = false;
    bool has_master = false;
    const Check fault = for_each_attribute(attributes, [&](const Attribute& attribute) -> Check {
        const Bytes payload = attribute.payload;
        switch (attribute.type) {
            case CTA_EXPECT_TUPLE:
                has_expected = true;
                return read_tuple(payload, family, message.expected);
            case CTA_EXPECT_MASK:
                has_mask = true;
                return read_tuple(payload, family, message.mask);
            case CTA_EXPECT_MASTER:
                has_master = true;
                return read_tuple(payload, family, message.master);
            case CTA_EXPECT_ZONE:
                return read(payload, message.zone.id);
            case CTA_EXPECT_ID:
                return read(payload, message.id);
            case CTA_EXPECT_TIMEOUT:
                return read(payload, message.timeout_s);
            case CTA_EXPECT_FLAGS:
                return read(payload, message.flags);
            case CTA_EXPECT_CLASS:
                return read(payload, message.expectation_class);
            case CTA_EXPECT_HELP_NAME:
                return read(payload, message.helper);
            default:
                return {};
        }
    });
    if (fault) {
        return fault;
    }
    return has_expected && has_mask && has_master ? Check{} : DecodeFault::missing_tuple;
}

}  // namespace flowkin::wire
