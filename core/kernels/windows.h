// Convolutions of small maps as one matrix product over all images.
#ifndef CYTOPRESS_CORE_KERNELS_WINDOWS_H_
#define CYTOPRESS_CORE_KERNELS_WINDOWS_H_

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
bool PrefersWindows(const Convolution& convolution);

// The pointwise convolution of the rows; the same sums.
Convolution OfWindows(const Convolution& convolution);

// The rows: of `batch` images at `source`, NHWC, each output position's window, tap by tap.
// `rows` has room for WindowBytes(). On so many OpenMP threads.
size_t WindowBytes(const Convolution& convolution, int batch);
void CopyWindows(const Convolution& convolution, int batch, const uint8_t* source, uint8_t* rows,
                 int threads);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_KERNELS_WINDOWS_H_
