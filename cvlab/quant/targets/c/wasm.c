/* What a page needs of a network in WebAssembly: where to write the input, where to read the output, and a start. */
#include "net.h"

static Number x[INPUT_NUMBERS], y[OUTPUT_NUMBERS];

__attribute__((export_name("input"))) Number *input(void) { return x; }
__attribute__((export_name("output"))) Number *output(void) { return y; }
__attribute__((export_name("maps"))) Number *maps(void) { return arena; }
__attribute__((export_name("run"))) void run(void) { net_run(x, y); }
