// SPDX-License-Identifier: MIT
// An uncaught weft::Error ends the program with its text and exit code 1.
#pragma once

namespace weft::client {

/// Installs a terminate handler that prints the text of an uncaught weft::Error and exits with code 1, as a
/// catch in main would; other exceptions abort as usual. Does nothing if the program has set a terminate
/// handler.
void report_uncaught_errors();

}  // namespace weft::client
