// im2col: convolutions of small maps as one matrix product over all images.
#ifndef CYTOPRESS_CORE_KERNELS_IM2COL_H_
#define CYTOPRESS_CORE_KERNELS_IM2COL_H_

#include <cstddef>
#include <cstdint>

#include "core/kernels/convolution.h"

namespace cytopress {

// oneDNN goes through a convolution image by image and reads all weights for each, which takes
// longer than the products where an image has few positions. Copying every window into a row first
// (im2col; Chellapilla et al., "High Performance Convolutional Neural Networks for Document
// Processing", 2006) makes it pointwise, and its rows those of all images. All are thread-safe.

// Whether that is faster: few positions, and channels enough for the copying to be little beside
// the products.
bool PrefersIm2col(const Convolution& convolution);

// The pointwise convolution of the rows; the same sums.
Convolution Im2colConvolution(const Convolution& convolution);

// The rows: of `batch` images at `source`, NHWC, each output position's window, tap by tap.
// `rows` has room for Im2colBytes(). On so many OpenMP threads.
size_t Im2colBytes(const Convolution& convolution, int batch);
void Im2col(const Convolution& convolution, int batch, const uint8_t* source, uint8_t* rows,
            int threads);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_IM2COL_H_
