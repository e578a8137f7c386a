// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/line_batch.hpp"
#include "control_request.hpp"
#include "daemon_status.hpp"
#include "flow/event.hpp"
#include "pipeline/pipeline.hpp"

namespace flowkin {

/// What the control socket can have the daemon say and do. All are called in the loop's thread, none waits.
struct ControlActions {
    std::function<MonitorCounters()> totals;
    std::function<DaemonStatus()> status;                  ///< all but the rates
    std::function<std::uint64_t()> reconcile;              ///< asks for one, and gives a ticket for it
    std::function<bool(std::uint64_t ticket)> reconciled;  ///< it is over
    std::function<std::optional<ResyncCompleted>()> last_reconcile;  ///< none: it failed
    std::function<std::optional<std::string>()> rotate;              ///< asks for one; else why there is none
    std::function<MonitorReload()> reload;
};

/// One client of the control socket: reads a request, answers it, reads the next.
///
/// A listing goes through the table in slices. Each slice's lines are written before the next slice is
/// looked at, so what a slow reader costs is one slice of memory, and events are read in between. A flow that
/// lives from the listing's beginning to its end is listed once, as it is when its slice comes; one that
/// begins or ends meanwhile may be listed or not.
///
/// Whatever takes too long (a request that does not come, an answer that is not read) ends it.
class ControlSession : public std::enable_shared_from_this<ControlSession> {
  public:
    using Socket = boost::asio::local::stream_protocol::socket;

    /// `pipeline`, `actions` and `rates` outlive the loop's last turn.
    ControlSession(Socket socket, Pipeline& pipeline, const ControlActions& actions,
                   const std::function<MonitorCounters()>& rates);

    boost::asio::awaitable<void> run();

  private:
    boost::asio::awaitable<bool> answer(const ControlRequest& request);
    boost::asio::awaitable<std::string> reconcile();
    boost::asio::awaitable<bool> answer_family_of(FlowUid member);
    boost::asio::awaitable<FlowUid> find_root(FlowUid member);
    boost::asio::awaitable<std::optional<std::uint64_t>> list(const FlowFilter& filter);
    boost::asio::awaitable<bool> write(std::string_view bytes);
    void limit(std::chrono::seconds time);

    Socket socket_;
    Pipeline& pipeline_;
    const ControlActions& actions_;
    const std::function<MonitorCounters()>& rates_;
    boost::asio::steady_timer deadline_;
    bool timed_out_ = false;
    std::string received_;
    LineBatch lines_;
};

}  // namespace flowkin
