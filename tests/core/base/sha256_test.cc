#include "core/base/sha256.h"

#include <gtest/gtest.h>

#include <string>

namespace cytopress {
namespace {

// The examples of FIPS 180-4.
TEST(Sha256Test, KnownDigests) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PiecesAddUp) {
  Sha256 pieces;
  for (const char* piece : {"a", "", "bc"}) pieces.Update(piece);
  Sha256 whole;
  whole.Update("abc");
  const std::string digest = whole.Finish();
  EXPECT_EQ(digest.size(), 32u);
  EXPECT_EQ(pieces.Finish(), digest);
}

}  // namespace
}  // namespace cytopress
