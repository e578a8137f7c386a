// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "base/result.hpp"
#include "json/line_encoder.hpp"

namespace flowkin {

/// The host's name and the static fields as members of the line's object, each with a comma before it:
/// `,"host":{"name":"fw1","ip":"192.0.2.1"},"labels":{"site":"north"}`. A dotted path becomes nested objects;
/// no object and no member stands there twice. Fails as LineEncoder::create() says.
Result<std::string> static_members(const std::string& host_name, const StaticFields& fields);

}  // namespace flowkin
