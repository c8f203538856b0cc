// Variables of the environment, for a test's time.
#ifndef CYTOPRESS_TESTS_SCOPED_ENVIRONMENT_H_
#define CYTOPRESS_TESTS_SCOPED_ENVIRONMENT_H_

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace cytopress {

// Sets a variable, or takes it away, and puts back what was there. No other thread may look at the
// environment when it comes and goes.
class ScopedEnvironment {
 public:
  explicit ScopedEnvironment(std::string name, const char* value = nullptr)
      : name_(std::move(name)) {
    if (const char* const before = std::getenv(name_.c_str())) before_ = before;
    Set(value);
  }
  ~ScopedEnvironment() { Set(before_ ? before_->c_str() : nullptr); }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

 private:
  void Set(const char* value) const {
    if (value == nullptr) {
      unsetenv(name_.c_str());
    } else {
      setenv(name_.c_str(), value, /*overwrite=*/1);
    }
  }

  const std::string name_;
  std::optional<std::string> before_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_SCOPED_ENVIRONMENT_H_
