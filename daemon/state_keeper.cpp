// SPDX-License-Identifier: GPL-2.0-or-later
#include "state_keeper.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace flowkin {

namespace asio = boost::asio;

namespace {

/// As many places of the table as surely fit one chunk.
constexpr std::size_t slice = StateChunk::most_flows;

}  // namespace

asio::awaitable<Result<void>> StateKeeper::save(StateHeader header, const FlowTable& table,
                                                std::function<asio::awaitable<bool>()> may_finish) {
    auto created = StateWriter::create(path_, header);
    if (!created) {
        co_return tl::unexpected(created.error());
    }
    StateWriter writer = std::move(*created);
    StateChunk chunk;
    std::size_t from = 0;
    do {
        from = table.visit(from, slice, [&](const FlowView& flow) { chunk.add(flow); });
        if (!chunk.empty()) {
            const auto append = [&]() -> asio::awaitable<Result<void>> { co_return writer.append(chunk); };
            if (auto appended = co_await asio::co_spawn(disk_, append, asio::use_awaitable); !appended) {
                co_return appended;
            }
            chunk.clear();
        }
    } while (from != 0);
    if (!co_await may_finish()) {
        co_return Result<void>{};
    }
    const auto finish = [&]() -> asio::awaitable<Result<void>> { co_return writer.finish(); };
    co_return co_await asio::co_spawn(disk_, finish, asio::use_awaitable);
}

Result<void> StateKeeper::save_at_once(const StateHeader& header, const FlowTable& table) {
    auto writer = StateWriter::create(path_, header);
    if (!writer) {
        return tl::unexpected(writer.error());
    }
    StateChunk chunk;
    std::size_t from = 0;
    do {
        from = table.visit(from, slice, [&](const FlowView& flow) { chunk.add(flow); });
        if (!chunk.empty()) {
            if (auto appended = writer->append(chunk); !appended) {
                return appended;
            }
            chunk.clear();
        }
    } while (from != 0);
    return writer->finish();
}

}  // namespace flowkin
