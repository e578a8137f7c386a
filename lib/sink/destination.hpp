// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowkin {

/// What became of a write.
enum class WriteOutcome : std::uint8_t {
    written,  ///< all that was attempted; more may be left
    waiting,  ///< the reader is slow
    failed,   ///< trouble() says why; to be tried again
    ended,    ///< the reader is gone for ever
};

struct Written {
    std::size_t bytes = 0;  ///< taken from the front, whatever the outcome
    WriteOutcome outcome = WriteOutcome::written;
};

/// Where lines go. Only the writer thread calls it.
class Destination {
  public:
    Destination() = default;
    virtual ~Destination() = default;
    Destination(const Destination&) = delete;
    Destination& operator=(const Destination&) = delete;

    /// Writes a first part of `lines`, which are whole lines or the rest of one begun before. Where the
    /// reader is slow it waits a little for him, at most as long as a closing log can bear.
    virtual Written write(std::string_view lines) = 0;

    virtual void reopen() {}
    virtual void rotate() {}
    virtual void set_rotation(std::uint64_t /*rotate_bytes*/, unsigned /*rotate_keep*/) {}
    virtual std::uint64_t rotations() const { return 0; }

    /// What is wrong at present, in one line; empty: nothing.
    virtual const std::string& trouble() const = 0;
};

}  // namespace flowkin
