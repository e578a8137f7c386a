// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/kin.hpp"

#include "json/words.hpp"

namespace flowkin {
namespace {

void put_known_parent(LineWriter& line, const Lineage& lineage) {
    line.put(R"(,"parent":{"uid":)");
    line.put_uid(lineage.parent);
    if (lineage.parent_has_kernel_id) {
        line.put(R"(,"id":)");
        line.put_number(lineage.parent_kernel_id);
    }
    if (!lineage.parent_helper.empty()) {
        line.put(R"(,"helper":)");
        line.put_text(lineage.parent_helper.view());
    }
    line.put('}');
}

void put_end(LineWriter& line, const Address& address, std::uint16_t port, const Tuple& tuple) {
    line.put(R"({"ip":)");
    line.put_address(address, tuple.family);
    if (has_ports(tuple.protocol)) {
        line.put(R"(,"port":)");
        line.put_number(port);
    }
    line.put('}');
}

void put_unknown_parent(LineWriter& line, const Tuple& tuple) {
    line.put(R"(,"parent":{"tuple":{"source":)");
    put_end(line, tuple.source, tuple.source_port, tuple);
    line.put(R"(,"destination":)");
    put_end(line, tuple.destination, tuple.destination_port, tuple);
    if (const auto word = transport_word(tuple.protocol); !word.empty()) {
        line.put(R"(,"transport":)");
        line.put_word(word);
    }
    line.put("}}");
}

}  // namespace

void put_zone(LineWriter& line, Zone zone) {
    if (zone.id == 0) {
        return;
    }
    line.put(R"(,"zone":)");
    line.put_number(zone.id);
    if (zone.direction != ZoneDirection::both) {
        line.put(R"(,"zone_direction":)");
        line.put_word(zone_direction_words[zone.direction]);
    }
}

void put_kin(LineWriter& line, const Lineage& lineage, const Tuple& tuple) {
    if (lineage.parent) {
        put_known_parent(line, lineage);
    } else {
        put_unknown_parent(line, tuple);
    }
    if (lineage.root) {
        line.put(R"(,"lineage":{"root":)");
        line.put_uid(lineage.root);
        line.put(R"(,"depth":)");
        line.put_number(lineage.depth);
        line.put('}');
    }
}

}  // namespace flowkin
