// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "flow/event.hpp"

namespace prometheus {
class Registry;
}

namespace flowkin {

class Intake;
class Reconciler;
class StallWatch;

/// How the last reload went. Without one, the configuration of the start stands for it.
struct ReloadOutcome {
    bool successful = true;
    WallTime successful_at{};  ///< when the configuration that is in force was taken
};

/// flowkin's figures as Prometheus text. All are counted elsewhere anyway and only read for a scrape: between
/// two scrapes a metric costs nothing. What is not known at the moment has no sample.
class Metrics {
  public:
    struct Sources {
        const Intake& intake;
        const Reconciler& reconciler;
        const StallWatch& stall_watch;
        const ReloadOutcome& reload;
        std::string version;
        RunId run = 0;
        std::size_t queue_capacity_bytes = 0;
    };

    explicit Metrics(const Sources& sources);
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    /// What a scrape shows now.
    std::string page();

  private:
    using Labels = std::map<std::string, std::string>;
    using Reading = std::function<std::optional<double>()>;

    void count(const char* name, const char* help, const Labels& labels, Reading read);
    void gauge(const char* name, const char* help, const Labels& labels, Reading read);
    void count_intake(const Intake& intake);
    void count_losses(const Intake& intake);
    void gauge_levels(const Sources& sources);
    void describe(const Sources& sources);
    void measure_writes(const Intake& intake);

    std::unique_ptr<prometheus::Registry> registry_;
    std::vector<std::function<void()>> updates_;  // one a series, in the order of the registry
};

}  // namespace flowkin
