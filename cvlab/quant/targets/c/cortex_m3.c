/* A program around a network for a bare Cortex-M3: it reads in.bin through semihosting, one input after the other, and
   writes out.bin, each output followed by the cycles of the timer, 4 bytes. */
#include "net.h"

extern uint32_t data_source, data_start, data_end, bss_start, bss_end, stack_top;

static int host(int operation, void *argument) {
  register int r0 __asm__("r0") = operation;
  register void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

enum { OPEN = 1, CLOSE = 2, WRITE = 5, READ = 6, EXIT = 0x18, READ_BINARY = 1, WRITE_BINARY = 5 };
#define TIMER ((volatile uint32_t *)0xE000E010) /* SysTick: control, reload, current */

static int open_file(const char *name, int length, int mode) {
  int arguments[3] = {(int)name, mode, length};
  return host(OPEN, arguments);
}

static int transfer(int operation, int file, void *data, int bytes) { /* gives the bytes that are left */
  int arguments[3] = {file, (int)data, bytes};
  return host(operation, arguments);
}

static Number x[INPUT_NUMBERS], y[OUTPUT_NUMBERS];

int main(void) {
  int in = open_file("in.bin", 6, READ_BINARY), out = open_file("out.bin", 7, WRITE_BINARY);
  TIMER[1] = 0xFFFFFF;
  TIMER[2] = 0;
  TIMER[0] = 5;
  while (transfer(READ, in, x, sizeof x) == 0) {
    uint32_t before = TIMER[2];
    net_run(x, y);
    uint32_t cycles = (before - TIMER[2]) & 0xFFFFFF;
    transfer(WRITE, out, y, sizeof y);
    transfer(WRITE, out, &cycles, 4);
  }
  host(CLOSE, &out);
  return 0;
}

void reset(void) {
  for (uint32_t *from = &data_source, *to = &data_start; to < &data_end;) *to++ = *from++;
  for (uint32_t *to = &bss_start; to < &bss_end;) *to++ = 0;
  main();
  host(EXIT, (void *)0x20026);
  for (;;) {
  }
}

static void fault(void) {
  host(EXIT, (void *)0x20023);
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) const void *vectors[16] = {&stack_top, reset, fault, fault, fault, fault, fault};
