#include "core/base/utf8.h"

#include <string>

#include "gtest/gtest.h"

namespace cytopress {
namespace {

TEST(Utf8Test, TakesTextOfAnyScript) {
  for (const char* text :
       {"", "basophil", "Erythrozyt\xc3\xbc", "\xe5\xa5\xbd\xe4\xb8\xad\xe7\x90\x83",
        "\xf0\x9f\xa9\xb8", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  EXPECT_TRUE(IsUtf8(std::string("a\0b", 3)));
}

TEST(Utf8Test, RefusesWhatIsNone) {
  for (const char* text : {
           "Erythrozyt\xfc",    // Latin-1
           "\x80", "a\xbf",     // nothing to go on from
           "\xc3", "\xe5\xa5",  // cut off
           "\xc3(", "\xe5\xa5(", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf",
           "\xf0\x8f\xbf\xbf",                              // longer than needed
           "\xed\xa0\x80", "\xed\xbf\xbf",                  // surrogates
           "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",  // beyond Unicode
       }) {
    EXPECT_FALSE(IsUtf8(text)) << text;
  }
}

}  // namespace
}  // namespace cytopress
