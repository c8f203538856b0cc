// The fuzz entry points over their seeds and over seeded damage to them, in every test run and with
// every compiler. What it finds in a second is little beside a fuzzer, but it comes for free.
#include <string>

#include "core/dataset/random.h"
#include "gtest/gtest.h"
#include "tests/fuzz/entry_points.h"

namespace cytopress {
namespace {

std::string Damage(std::string bytes, Random* random) {
  for (int64_t edits = 1 + random->Below(4); edits > 0 && !bytes.empty(); --edits) {
    const size_t at = random->Below(static_cast<int64_t>(bytes.size()));
    switch (random->Below(5)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random->Below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random->Below(256));
        break;
      case 2:  // the numbers that lengths go wrong at
        bytes[at] = random->Chance(0.5) ? '\xff' : '\0';
        break;
      case 3:
        bytes.resize(at);
        break;
      default:
        bytes.insert(at, bytes.substr(random->Below(static_cast<int64_t>(bytes.size())), 16));
    }
  }
  return bytes;
}

class ReplayTest : public testing::TestWithParam<FuzzEntryPoint> {};

TEST_P(ReplayTest, SurvivesDamage) {
  GetParam().run("");
  uint64_t index = 0;
  for (const std::string& seed : GetParam().seeds()) {
    GetParam().run(seed);
    Random random = Random::Stream(2024, index++);
    for (int i = 0; i < GetParam().variants; ++i) GetParam().run(Damage(seed, &random));
  }
  EXPECT_GT(index, 0u);
}

INSTANTIATE_TEST_SUITE_P(EntryPoints, ReplayTest, testing::ValuesIn(FuzzEntryPoints()),
                         [](const testing::TestParamInfo<FuzzEntryPoint>& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace cytopress
