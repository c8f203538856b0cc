#include "core/artifact/float16.h"

#include <cmath>
#include <cstring>

namespace cytopress {
namespace {

uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

uint16_t ToFloat16(float value) {
  const uint16_t sign = static_cast<uint16_t>((BitsOf(value) >> 16) & 0x8000);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (magnitude >= 65520.0f) return sign | 0x7c00;  // halfway to 2^16 rounds up to infinity
  if (magnitude < 0x1p-14f) {                       // subnormal: steps of 2^-24
    // Adding 2^-1, whose own steps are 2^-24, rounds as the hardware does, to nearest even; the sum
    // cannot leave the mantissa but by the carry into 2^-14, which is right.
    return sign | static_cast<uint16_t>(BitsOf(magnitude + 0.5f) - BitsOf(0.5f));
  }
  // Rounds the 23-bit mantissa to 10 bits; a carry runs into the exponent, as it should.
  uint32_t bits = BitsOf(magnitude);
  bits += 0x0fff + ((bits >> 13) & 1);
  return sign | static_cast<uint16_t>((bits >> 13) - ((127 - 15) << 10));
}

float FromFloat16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00) return FromBits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  // The same digits read with binary32's exponent bias are 2^112 times too small.
  return FromBits(sign | magnitude << 13) * 0x1p112f;
}

}  // namespace cytopress
