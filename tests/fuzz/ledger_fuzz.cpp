// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as a log: the verifier comes to a verdict, and the cursor calls JSON what nlohmann_json calls
// JSON.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <ostream>
#include <streambuf>
#include <string_view>

#include "ledger/json_cursor.hpp"
#include "ledger/verifier.hpp"

namespace {

using nlohmann::json;

/// Keeps nothing but why nlohmann_json gave up, and how deep it went.
class Judge final : public json::json_sax_t {
  public:
    bool number_too_large = false;
    bool too_deep = false;

    bool null() override { return true; }
    bool boolean(bool /*value*/) override { return true; }
    bool number_integer(number_integer_t /*value*/) override { return true; }
    bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
    bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
    bool string(string_t& /*value*/) override { return true; }
    bool binary(binary_t& /*value*/) override { return true; }
    bool start_object(std::size_t /*elements*/) override { return go_down(); }
    bool key(string_t& /*value*/) override { return true; }
    bool end_object() override { return go_up(); }
    bool start_array(std::size_t /*elements*/) override { return go_down(); }
    bool end_array() override { return go_up(); }
    bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                     const json::exception& error) override {
        number_too_large = error.id == 406;
        return false;
    }

  private:
    bool go_down() {
        too_deep |= ++depth_ > flowkin::JsonCursor::deepest;
        return true;
    }
    bool go_up() {
        --depth_;
        return true;
    }
    unsigned depth_ = 0;
};

void compare_with_oracle(std::string_view line) {
    // nlohmann_json takes a NUL for the end of the text, and passes over a byte order mark.
    if (line.find('\0') != std::string_view::npos || line.starts_with("\xef")) {
        return;
    }
    Judge judge;
    const bool wanted = json::sax_parse(line, &judge);
    if (judge.number_too_large || judge.too_deep) {
        return;
    }
    flowkin::JsonCursor cursor(line);
    if ((cursor.skip() && cursor.at_end()) != wanted) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(bytes), size);
    flowkin::Verifier verifier;
    verifier.begin_file("log");
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        compare_with_oracle(line);
        verifier.feed(line);
        text.remove_prefix(std::min(text.size(), line.size() + 1));
    }
    const flowkin::Verdict verdict = verifier.verdict();
    // What is open is what was opened, met or excused, and has not ended.
    if (verdict.violation_count == 0 &&
        verdict.opened + verdict.seen_before_log + verdict.excused_by_loss + verdict.excused_by_cut !=
            verdict.closed + verdict.open_at_end + verdict.beyond_table + verdict.abandoned) {
        std::abort();
    }
    struct Nowhere : std::streambuf {
        int overflow(int byte) override { return byte; }
    } nowhere;
    std::ostream out(&nowhere);
    print(verdict, out);
    return 0;
}
