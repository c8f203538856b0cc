// Checks of flags, whose messages say what is allowed.
#ifndef CYTOPRESS_CLIENT_CLI_CHECKS_H_
#define CYTOPRESS_CLIENT_CLI_CHECKS_H_

#include <CLI/CLI.hpp>
#include <cstdint>

namespace cytopress {

CLI::Validator Positive();                              // a number above 0
CLI::Validator AtLeast(uint64_t least);                 // a whole number
CLI::Validator Between(uint64_t least, uint64_t most);  // a whole number
CLI::Validator Share();                                 // a number of at least 0 and below 1
CLI::Validator Bytes();                                 // a number of at least 1
CLI::Validator Timeout();                               // seconds, from a thousandth to 30 days
CLI::Validator Address();                               // of a server

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_CHECKS_H_
