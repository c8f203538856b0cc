// How fast cores multiply 8-bit integers when nothing else holds them up.
#ifndef CYTOPRESS_TESTS_BENCH_VNNI_PEAK_H_
#define CYTOPRESS_TESTS_BENCH_VNNI_PEAK_H_

namespace cytopress {

// Multiply-accumulates a second of `threads` threads at once, which may share a core, in `vpdpbusd`
// on registers, the best of a few tenths of a second; 0 where the CPU has no AVX512-VNNI.
double MeasureVnniPeak(int threads);

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_VNNI_PEAK_H_
