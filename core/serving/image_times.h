// How long an engine takes for an image, as measured before it serves.
#ifndef CYTOPRESS_CORE_SERVING_IMAGE_TIMES_H_
#define CYTOPRESS_CORE_SERVING_IMAGE_TIMES_H_

namespace cytopress {

// Seconds of one engine, 0: unknown. An image alone may take ten times as long as one of many, so
// that neither says anything of the other: what an image takes alone would refuse those that can
// share a batch, for a deadline that they do not miss.
struct ImageTimes {
  double in_full_batch = 0;  // half full or more
  double alone = 0;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_IMAGE_TIMES_H_
