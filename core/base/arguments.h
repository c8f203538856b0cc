// Arguments of a program on their way to CLI11, which parses them.
#ifndef CYTOPRESS_CORE_BASE_ARGUMENTS_H_
#define CYTOPRESS_CORE_BASE_ARGUMENTS_H_

#include <string>
#include <vector>

namespace cytopress {

// The arguments after the program's name, the last first, which is how CLI::App::parse takes them.
// "--flag=" becomes "--flag" and "": CLI11 would take the argument that comes next as the value.
// What follows "--" stays as it is.
std::vector<std::string> ArgumentsToParse(int argc, const char* const* argv);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_ARGUMENTS_H_
