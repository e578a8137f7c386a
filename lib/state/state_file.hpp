// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"
#include "flow/flow.hpp"

/// The flow table on disk: a header, chunks of flows, an end mark; each with its checksum. Written beside its
/// final name and renamed over it, so that the name always leads to a whole file. Integers are little-endian.
///
/// A snapshot is taken in slices while events go on, so it is not of one moment: the header's sequence is
/// that of its beginning, and the log's lines after it, applied in order to what the file holds, give the
/// truth (each record of a flow carries the whole of it). `clean` means that nothing came after: the daemon
/// stopped in order.
namespace flowkin {

/// Of which kernel and namespace a table speaks. Another boot or another namespace: other flows.
struct StateOrigin {
    std::array<std::uint8_t, 16> boot_id{};
    std::uint64_t netns_cookie = 0;
    friend bool operator==(const StateOrigin&, const StateOrigin&) = default;
};

struct StateHeader {
    StateOrigin origin;
    RunId run = 0;
    std::uint64_t sequence = 0;      ///< the last event.sequence given when the snapshot began
    std::uint64_t uids = 0;          ///< uids given so far
    std::uint64_t kernel_drops = 0;  ///< the socket's drop counter, as far as it is declared in the log
    WallTime heard_until{};          ///< what the kernel said before this is in the table
    bool clean = false;
    std::string log_path;  ///< the file that the lines went to; empty: standard output
};

/// The origin of a table read here and now, through `socket_fd` (a socket of the namespace that is watched).
Result<StateOrigin> read_state_origin(int socket_fd);

/// Flows to bytes, in chunks that the file takes whole.
class StateChunk {
  public:
    static constexpr std::size_t largest_bytes = 1U << 20U;
    static constexpr std::size_t largest_flow_bytes = 512;
    static constexpr std::size_t most_flows = largest_bytes / largest_flow_bytes;  ///< that surely fit

    /// False where it is full: write it, clear it, add again.
    bool add(const FlowView& flow);
    bool empty() const { return flows_ == 0; }
    std::uint32_t flows() const { return flows_; }
    const std::vector<std::uint8_t>& bytes() const { return bytes_; }
    void clear() {
        bytes_.clear();
        flows_ = 0;
    }

  private:
    std::vector<std::uint8_t> bytes_;
    std::uint32_t flows_ = 0;
};

/// Writes one state file. Without finish() nothing is left behind.
class StateWriter {
  public:
    static Result<StateWriter> create(const std::string& path, const StateHeader& header);
    StateWriter(StateWriter&&) noexcept = default;
    StateWriter& operator=(StateWriter&&) noexcept = default;
    ~StateWriter();

    Result<void> append(const StateChunk& chunk);
    /// The end mark, fsync, rename, fsync of the folder.
    Result<void> finish();

  private:
    StateWriter(std::string path, std::string temporary, UniqueFd fd);
    Result<void> write(const std::vector<std::uint8_t>& bytes);

    std::string path_;
    std::string temporary_;
    UniqueFd fd_;
    std::uint64_t flows_ = 0;
    std::uint64_t chain_ = 0;
};

/// What a state file was good for.
struct LoadedState {
    StateHeader header;
    std::uint64_t flows = 0;
};

/// Reads the file, and hands each flow to `take`. An empty optional: there is no file. An error says why the
/// file is not to be believed: cut off, altered, of another version, not ours alone to write; then `take` may
/// have been called, and what it took is to be forgotten. Whatever the bytes are, no more memory is taken
/// than a chunk's.
Result<std::optional<LoadedState>> load_state(const std::string& path,
                                              const std::function<bool(const StateHeader&)>& wanted,
                                              const std::function<void(const FlowRecord&)>& take);

/// Moves a file that is not believed aside, as `<path>.rejected`, for somebody to look at.
void set_state_aside(const std::string& path);

}  // namespace flowkin
