// A model that answers by a rule, for classify and evaluate on the command line.
#ifndef CYTOPRESS_TESTS_CLIENT_CLI_CLASSIFY_FIXTURE_H_
#define CYTOPRESS_TESTS_CLIENT_CLI_CLASSIFY_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/file.h"
#include "tests/client/cli/cli_fixture.h"

namespace cytopress {

inline constexpr int kClasses = 8;

// A rule in place of a network: the class is told by the bytes of the image.
inline int ClassOf(absl::string_view bytes) {
  unsigned sum = 0;
  for (const unsigned char byte : bytes) sum += byte;
  return static_cast<int>(sum % kClasses);
}

inline grpc::Status AnswerByRule(const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* response) {
  response->set_model("blood");
  response->set_model_version(2);
  for (const v1::ImageInput& image : request.images()) {
    const int predicted = ClassOf(image.has_raw() ? image.raw().pixels() : image.encoded());
    v1::Classification* result = response->add_results();
    for (int rank = 0; rank < (request.top_k() < 0 ? kClasses : request.top_k()); ++rank) {
      v1::ClassScore* score = result->add_classes();
      score->set_index((predicted + rank) % kClasses);
      score->set_name(absl::StrCat("class ", score->index()));
      score->set_probability(rank == 0 ? 0.3f : 0.1f);
    }
  }
  return grpc::Status::OK;
}

class ClassifyFixture : public CliTest {
 protected:
  ClassifyFixture() {
    service_.inference.answer = AnswerByRule;
    service_.models.model.set_name("blood");
    service_.models.model.set_version(2);
    for (int i = 0; i < kClasses; ++i) {
      service_.models.model.add_class_names(absl::StrCat("class ", i));
    }
  }

  // A file whose class by the rule is `index`.
  void AddFile(const std::string& relative, int index) {
    const std::string path = folder_ + "/" + relative;
    ASSERT_TRUE(MakeDirectories(std::filesystem::path(path).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomically(path, std::string(1, static_cast<char>(8 + index))).ok());
  }
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CLIENT_CLI_CLASSIFY_FIXTURE_H_
