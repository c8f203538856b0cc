// Drawings of stained blood cells under a microscope, one type a label. They show what tells the
// types apart (size, the shape of the nucleus, granules, the colour of the cytoplasm) among what
// does not (red cells, illumination, stain, focus, noise). They are no substitute for real cells.
#ifndef CYTOPRESS_CORE_DATASET_CELL_DRAWING_H_
#define CYTOPRESS_CORE_DATASET_CELL_DRAWING_H_

#include "core/dataset/random.h"
#include "core/image/image.h"

namespace cytopress {

constexpr int kDrawnCellTypes = 8;

// `label` as in BloodMnistClassNames(), 0 to 7; an RGB square of `size` pixels, 8 or more.
Image DrawCell(int label, int size, Random* random);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_DATASET_CELL_DRAWING_H_
