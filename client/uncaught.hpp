// SPDX-License-Identifier: MIT
// An Error that no program catches ends it with a sentence.
#pragma once

namespace weft::client {

/// From now on std::terminate() for a weft::Error prints its text and ends the process with code 1, as main
/// would have done with a catch; not when the program has a terminate handler of its own. Anything else
/// aborts as ever.
void report_uncaught_errors();

}  // namespace weft::client
