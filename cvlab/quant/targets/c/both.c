/* What is the same for all kinds of numbers. */

static void upsample(const Number *x, int H, int W, int C, Number *y, int down, int across) {
  for (int r = 0; r < H * down; r++)
    for (int c = 0; c < W * across; c++)
      for (int k = 0; k < C; k++) *y++ = x[(r / down * W + c / across) * C + k];
}

