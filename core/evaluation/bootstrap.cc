#include <algorithm>
#include <array>
#include <random>

#include "core/evaluation/evaluation.h"

namespace cytopress {
namespace {

// So many resamples are computed at a time, each in a lane of its own.
constexpr size_t kLanes = 64;
using Lanes = std::array<uint32_t, kLanes>;

// How often each image occurs in kLanes resamples: about once, for which 8 bits are plenty, as more
// than 255 times has a probability below 1e-490.
using Times = std::array<uint8_t, kLanes>;

// Every class is drawn again from its own images, one resample after the other. Lanes that are left
// over draw nothing.
std::vector<std::vector<Times>> Draw(const std::vector<std::vector<size_t>>& images_of,
                                     size_t images, size_t resamples, uint64_t seed) {
  std::vector<std::vector<Times>> drawn((resamples + kLanes - 1) / kLanes,
                                        std::vector<Times>(images));
  std::mt19937_64 random(seed);
  for (size_t resample = 0; resample < resamples; ++resample) {
    std::vector<Times>& times = drawn[resample / kLanes];
    for (const std::vector<size_t>& own : images_of) {
      for (size_t i = 0; i < own.size(); ++i) {
        ++times[own[random() % own.size()]][resample % kLanes];
      }
    }
  }
  return drawn;
}

struct RankedImage {
  size_t image = 0;
  float score = 0;
  bool own = false;  // of the class
};

// The images that score at least as high as the lowest of the class, from the highest on; of equal
// ones the class's own first. All others score lower than every own image of every resample.
std::vector<RankedImage> Rank(absl::Span<const float> scores, absl::Span<const int> labels,
                              int classes, int c, const std::vector<size_t>& own) {
  const auto score = [&](size_t image) { return scores[image * classes + c]; };
  float lowest = score(own[0]);
  for (const size_t image : own) lowest = std::min(lowest, score(image));
  std::vector<RankedImage> ranked;
  for (size_t image = 0; image < labels.size(); ++image) {
    if (score(image) < lowest) continue;
    ranked.push_back({image, score(image), labels[image] == c});
  }
  std::sort(ranked.begin(), ranked.end(), [](const RankedImage& a, const RankedImage& b) {
    return a.score != b.score ? a.score > b.score : a.own && !b.own;
  });
  return ranked;
}

void Add(const Times& times, Lanes& sum) {
  for (size_t lane = 0; lane < kLanes; ++lane) sum[lane] += times[lane];
}

// As BinaryAuc, of images that occur so many `times` each: `own` of the class in all, as in every
// resample, and `others`. Twice the pairs in the wrong order is a whole number, and exact.
std::array<double, kLanes> ResampledAucs(const std::vector<RankedImage>& ranked,
                                         const std::vector<Times>& times, size_t own,
                                         size_t others) {
  Lanes others_above{}, tied_own{}, tied_others{};
  std::array<uint64_t, kLanes> twice_wrong{};
  const auto end_tie = [&] {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      twice_wrong[lane] +=
          uint64_t{tied_own[lane]} * (2 * uint64_t{others_above[lane]} + tied_others[lane]);
      others_above[lane] += tied_others[lane];
      tied_own[lane] = tied_others[lane] = 0;
    }
  };
  const RankedImage* own_of_tie = nullptr;
  for (const RankedImage& next : ranked) {
    if (own_of_tie != nullptr && next.score < own_of_tie->score) {
      end_tie();
      own_of_tie = nullptr;
    }
    if (next.own) own_of_tie = &next;
    Add(times[next.image], next.own                ? tied_own
                           : own_of_tie != nullptr ? tied_others
                                                   : others_above);
  }
  end_tie();
  const double pairs = static_cast<double>(own) * static_cast<double>(others);
  std::array<double, kLanes> aucs{};
  for (size_t lane = 0; lane < kLanes; ++lane) {
    aucs[lane] = (pairs - static_cast<double>(twice_wrong[lane]) / 2) / pairs;
  }
  return aucs;
}

}  // namespace

Interval BootstrapAuc(absl::Span<const float> scores, absl::Span<const int> labels, int classes,
                      uint64_t seed, int resamples) {
  std::vector<std::vector<size_t>> images_of(classes);
  for (size_t i = 0; i < labels.size(); ++i) images_of[labels[i]].push_back(i);
  const std::vector<std::vector<Times>> drawn = Draw(images_of, labels.size(), resamples, seed);
  std::vector<double> aucs(drawn.size() * kLanes, 0);  // first the sums over the classes
  int counted = 0;
  for (int c = 0; c < classes; ++c) {
    const std::vector<size_t>& own = images_of[c];
    if (own.empty() || own.size() == labels.size()) continue;
    ++counted;
    const std::vector<RankedImage> ranked = Rank(scores, labels, classes, c, own);
    for (size_t block = 0; block < drawn.size(); ++block) {
      const std::array<double, kLanes> some =
          ResampledAucs(ranked, drawn[block], own.size(), labels.size() - own.size());
      for (size_t lane = 0; lane < kLanes; ++lane) aucs[block * kLanes + lane] += some[lane];
    }
  }
  if (counted == 0) return {0, 1};
  aucs.resize(resamples);
  for (double& auc : aucs) auc /= counted;
  std::sort(aucs.begin(), aucs.end());
  const size_t tail = aucs.size() / 40;  // 2.5 %
  return {aucs[tail], aucs[aucs.size() - 1 - tail]};
}

}  // namespace cytopress
