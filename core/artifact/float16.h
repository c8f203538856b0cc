// IEEE 754 binary16, rounded to nearest even; portable.
#ifndef CYTOPRESS_CORE_ARTIFACT_FLOAT16_H_
#define CYTOPRESS_CORE_ARTIFACT_FLOAT16_H_

#include <cstdint>

namespace cytopress {

// Too large becomes infinity, NaN stays NaN.
uint16_t ToFloat16(float value);
float FromFloat16(uint16_t bits);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_ARTIFACT_FLOAT16_H_
