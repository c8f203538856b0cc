#include "tests/bench/vnni_peak.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

namespace cytopress {
namespace {

constexpr int kSums = 16;  // enough to hide the latency of an instruction behind the others
constexpr int kMacs = 64;  // of one instruction

__attribute__((target("avx512f,avx512vnni"))) int Multiply(int rounds) {
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(rounds % 2 == 0 ? 1 : 2);
  __m512i sums[kSums];
#pragma GCC unroll 16  // all loops: what is indexed by a variable would lie in memory
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_setzero_si512();
  for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
      asm volatile("" : "+v"(sums[i]));  // keep every one of them
    }
  }
  __m512i all = sums[0];
#pragma GCC unroll 16
  for (int i = 1; i < kSums; ++i) all = _mm512_add_epi32(all, sums[i]);
  return _mm512_cvtsi512_si32(all);
}

// Multiply-accumulates a second of this thread.
double Speed(int rounds) {
  const auto start = std::chrono::steady_clock::now();
  volatile int kept = Multiply(rounds);
  (void)kept;
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return double{1} * rounds * kSums * kMacs / taken.count();
}

// Of all threads together. They begin at the same time: what shares a core is to do so throughout.
double SpeedOfAll(int threads, int rounds) {
  std::atomic<int> missing{threads};
  std::vector<double> speeds(threads);
  std::vector<std::thread> running;
  for (double& speed : speeds) {
    running.emplace_back([&missing, &speed, rounds] {
      --missing;
      while (missing > 0) std::this_thread::yield();
      speed = Speed(rounds);
    });
  }
  for (std::thread& thread : running) thread.join();
  return std::accumulate(speeds.begin(), speeds.end(), 0.0);
}

}  // namespace

double MeasureVnniPeak(int threads) {
  if (!__builtin_cpu_supports("avx512vnni")) return 0;
  constexpr int kRounds = 2000000;
  double best = 0;
  for (int turn = 0; turn < 5; ++turn) {
    best = std::max(best, SpeedOfAll(threads, kRounds + turn));
  }
  return best;
}

}  // namespace cytopress

#else

namespace cytopress {

double MeasureVnniPeak(int threads) { return 0; }

}  // namespace cytopress

#endif
