// What is odd about some of the images that are classified.
#ifndef CYTOPRESS_CLIENT_CLI_IMAGE_NOTE_H_
#define CYTOPRESS_CLIENT_CLI_IMAGE_NOTE_H_

#include <cstddef>
#include <string>
#include <vector>

namespace cytopress {

struct ImageNote {
  std::string name;            // of each of them, for programs: "gray"
  std::vector<size_t> images;  // their places among all
  std::string text;            // a sentence on them together, for people
};

// "1 of 21 images is", "2 of 21 images are"; "the image is" where there is but one.
std::string HowMany(size_t some, size_t all);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_IMAGE_NOTE_H_
