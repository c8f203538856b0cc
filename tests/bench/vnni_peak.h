// How fast this core multiplies 8-bit integers when nothing else holds it up.
#ifndef CYTOPRESS_TESTS_BENCH_VNNI_PEAK_H_
#define CYTOPRESS_TESTS_BENCH_VNNI_PEAK_H_

namespace cytopress {

// Multiply-accumulates a second of one thread in `vpdpbusd` on registers, the best of a few tenths
// of a second; 0 where the CPU has no AVX512-VNNI.
double MeasureVnniPeak();

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_BENCH_VNNI_PEAK_H_
