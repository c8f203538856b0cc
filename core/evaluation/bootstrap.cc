#include <algorithm>
#include <numeric>
#include <random>

#include "core/evaluation/evaluation.h"

namespace cytopress {
namespace {

// The images of one class score apart, in ascending order of that score, so that the AUC of a
// resample takes one pass.
struct RankedClass {
  std::vector<size_t> order;
  std::vector<bool> ends_tie;  // the next in order scores higher
};

RankedClass Rank(absl::Span<const float> scores, size_t images, int classes, int c) {
  const auto score = [&](size_t image) { return scores[image * classes + c]; };
  RankedClass ranked;
  ranked.order.resize(images);
  std::iota(ranked.order.begin(), ranked.order.end(), 0);
  std::sort(ranked.order.begin(), ranked.order.end(),
            [&](size_t a, size_t b) { return score(a) < score(b); });
  for (size_t i = 0; i < images; ++i) {
    ranked.ends_tie.push_back(i + 1 == images ||
                              score(ranked.order[i]) < score(ranked.order[i + 1]));
  }
  return ranked;
}

// As BinaryAuc, of images that occur `times` each.
double ResampledAuc(const RankedClass& ranked, absl::Span<const int> labels, int c,
                    const std::vector<int>& times) {
  double u = 0, positives = 0, negatives = 0, tied_positives = 0, tied_negatives = 0;
  for (size_t i = 0; i < ranked.order.size(); ++i) {
    const size_t image = ranked.order[i];
    (labels[image] == c ? tied_positives : tied_negatives) += times[image];
    if (!ranked.ends_tie[i]) continue;
    u += tied_positives * (negatives + tied_negatives / 2);
    positives += tied_positives;
    negatives += tied_negatives;
    tied_positives = tied_negatives = 0;
  }
  return u / (positives * negatives);
}

}  // namespace

Interval BootstrapAuc(absl::Span<const float> scores, absl::Span<const int> labels, int classes,
                      uint64_t seed, int resamples) {
  std::vector<std::vector<size_t>> images_of(classes);
  for (size_t i = 0; i < labels.size(); ++i) images_of[labels[i]].push_back(i);
  std::vector<int> present;
  for (int c = 0; c < classes; ++c) {
    if (!images_of[c].empty() && images_of[c].size() < labels.size()) present.push_back(c);
  }
  if (present.empty()) return {0, 1};
  std::vector<RankedClass> ranked;
  for (const int c : present) ranked.push_back(Rank(scores, labels.size(), classes, c));

  std::mt19937_64 random(seed);
  std::vector<double> aucs;
  for (int resample = 0; resample < resamples; ++resample) {
    std::vector<int> times(labels.size(), 0);
    for (const std::vector<size_t>& images : images_of) {
      for (size_t i = 0; i < images.size(); ++i) ++times[images[random() % images.size()]];
    }
    double sum = 0;
    for (size_t i = 0; i < present.size(); ++i) {
      sum += ResampledAuc(ranked[i], labels, present[i], times);
    }
    aucs.push_back(sum / static_cast<double>(present.size()));
  }
  std::sort(aucs.begin(), aucs.end());
  const size_t tail = aucs.size() / 40;  // 2.5 %
  return {aucs[tail], aucs[aucs.size() - 1 - tail]};
}

}  // namespace cytopress
