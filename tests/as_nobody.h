// What files look like to a user who does not own them, also where root runs the tests.
#ifndef CYTOPRESS_TESTS_AS_NOBODY_H_
#define CYTOPRESS_TESTS_AS_NOBODY_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>

namespace cytopress {

// Runs `body` under another user's id where this is root, who may write everything. `folder`, a
// test's own, can be entered by others from then on.
inline void AsNobody(const std::string& folder, const std::function<void()>& body) {
  constexpr uid_t kNobody = 65534;
  const uid_t user = geteuid();
  std::filesystem::permissions(
      folder, std::filesystem::perms::group_exec | std::filesystem::perms::others_exec,
      std::filesystem::perm_options::add);
  if (user == 0) {
    ASSERT_EQ(seteuid(kNobody), 0);
  }
  body();
  if (user == 0) {
    ASSERT_EQ(seteuid(user), 0);
  }
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_AS_NOBODY_H_
