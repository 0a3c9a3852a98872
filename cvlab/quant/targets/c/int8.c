/* The layers of a network in whole numbers: int8 in and out, int32 sums, no floating point anywhere.
   Maps are rows of pixels, channels last. The same arithmetic as cvlab/quant/integer.py, bit for bit. */

typedef struct { int32_t offset, low, high, twice; } Result; /* twice: how sums are rounded, see multiplied */

static int32_t doubling_high(int32_t a, int32_t b) {
  int64_t product = (int64_t)a * b;
  int64_t nudged = product + (product >= 0 ? 1 << 30 : 1 - (1 << 30));
  int64_t high = nudged / ((int64_t)1 << 31);
  return high > INT32_MAX ? INT32_MAX : (int32_t)high;
}

static int32_t rounding_shift(int32_t x, int right) {
  int32_t mask = (int32_t)(((uint32_t)1 << right) - 1), rest = x & mask;
  return (x >> right) + (rest > (mask >> 1) + (x < 0));
}

static int32_t multiplied(int32_t x, int32_t multiplier, int shift, int twice) {
  if (twice) {
    int32_t left = (int32_t)((uint32_t)x << (shift > 0 ? shift : 0));
    return rounding_shift(doubling_high(left, multiplier), shift > 0 ? 0 : -shift);
  }
  int right = 31 - shift;
  return (int32_t)(((int64_t)x * multiplier + ((int64_t)1 << (right - 1))) >> right);
}

static int8_t result(int32_t sum, int32_t multiplier, int shift, Result to) {
  int64_t y = (int64_t)multiplied(sum, multiplier, shift, to.twice) + to.offset;
  return (int8_t)(y < to.low ? to.low : y > to.high ? to.high : y);
}

/* Four rows of weights at once with the same numbers: each of these is loaded once and used four times. */
static void dot4(const int8_t *x, int offset, const int8_t *w, int row, int n, int32_t *sums) {
  const int8_t *w1 = w + row, *w2 = w1 + row, *w3 = w2 + row;
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  int i = 0;
#ifdef __wasm_simd128__
  v128_t va = wasm_i32x4_splat(0), vb = va, vc = va, vd = va, shift = wasm_i16x8_splat((int16_t)offset);
  for (; i + 8 <= n; i += 8) {
    v128_t v = wasm_i16x8_add(wasm_i16x8_load8x8(x + i), shift);
    va = wasm_i32x4_add(va, wasm_i32x4_dot_i16x8(v, wasm_i16x8_load8x8(w + i)));
    vb = wasm_i32x4_add(vb, wasm_i32x4_dot_i16x8(v, wasm_i16x8_load8x8(w1 + i)));
    vc = wasm_i32x4_add(vc, wasm_i32x4_dot_i16x8(v, wasm_i16x8_load8x8(w2 + i)));
    vd = wasm_i32x4_add(vd, wasm_i32x4_dot_i16x8(v, wasm_i16x8_load8x8(w3 + i)));
  }
#define TOTAL(v) (wasm_i32x4_extract_lane(v, 0) + wasm_i32x4_extract_lane(v, 1) + \
                  wasm_i32x4_extract_lane(v, 2) + wasm_i32x4_extract_lane(v, 3))
  a += TOTAL(va), b += TOTAL(vb), c += TOTAL(vc), d += TOTAL(vd);
#endif
  for (; i < n; i++) {
    int32_t v = x[i] + offset;
    a += v * w[i], b += v * w1[i], c += v * w2[i], d += v * w3[i];
  }
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

static int32_t dot(const int8_t *x, int offset, const int8_t *w, int n, int32_t sum) {
  for (int i = 0; i < n; i++) sum += (x[i] + offset) * w[i];
  return sum;
}

static void conv(const int8_t *x, int H, int W, int C, int8_t *y, int h, int w, int K, int kh, int kw, int down,
                 int across, int top, int left, int offset, const int8_t *weights, const int32_t *bias,
                 const int32_t *multiplier, const int8_t *shift, Result to) {
  int row = kh * kw * C;
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++, y += K) {
      int first = c * across - left, j0 = first < 0 ? -first : 0, j1 = W - first < kw ? W - first : kw;
      for (int k = 0; k < K; k += 4) {
        int many = K - k < 4 ? K - k : 4;
        int32_t sums[4] = {0, 0, 0, 0};
        for (int t = 0; t < many; t++) sums[t] = bias[k + t];
        for (int i = 0; i < kh; i++) {
          int at = r * down - top + i;
          if (at < 0 || at >= H || j1 <= j0) continue;
          const int8_t *p = x + (at * W + first + j0) * C, *q = weights + k * row + (i * kw + j0) * C;
          if (many == 4) dot4(p, offset, q, row, (j1 - j0) * C, sums);
          else for (int t = 0; t < many; t++) sums[t] = dot(p, offset, q + t * row, (j1 - j0) * C, sums[t]);
        }
        for (int t = 0; t < many; t++) y[k + t] = result(sums[t], multiplier[k + t], shift[k + t], to);
      }
    }
}

static void depthwise(const int8_t *x, int H, int W, int C, int8_t *y, int h, int w, int K, int kh, int kw, int down,
                      int across, int top, int left, int offset, const int8_t *weights, const int32_t *bias,
                      const int32_t *multiplier, const int8_t *shift, Result to) {
  int each = K / C;
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++, y += K) {
      for (int k = 0; k < K; k++) scratch[k] = bias[k];
      for (int i = 0; i < kh; i++)
        for (int j = 0; j < kw; j++) {
          int at = r * down - top + i, by = c * across - left + j;
          if (at < 0 || at >= H || by < 0 || by >= W) continue;
          const int8_t *p = x + (at * W + by) * C, *q = weights + (i * kw + j) * K;
          if (each == 1) for (int k = 0; k < K; k++) scratch[k] += (p[k] + offset) * q[k];
          else for (int k = 0; k < K; k++) scratch[k] += (p[k / each] + offset) * q[k];
        }
      for (int k = 0; k < K; k++) y[k] = result(scratch[k], multiplier[k], shift[k], to);
    }
}

static void conv_transpose(const int8_t *x, int H, int W, int C, int8_t *y, int h, int w, int K, int kh, int kw,
                           int down, int across, int top, int left, int offset, const int8_t *weights,
                           const int32_t *bias, const int32_t *multiplier, const int8_t *shift, Result to) {
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++, y += K)
      for (int k = 0; k < K; k++) {
        int32_t sum = bias[k];
        for (int i = 0; i < kh; i++)
          for (int j = 0; j < kw; j++) {
            int at = r + top - i, by = c + left - j;
            if (at < 0 || by < 0 || at % down || by % across || at / down >= H || by / across >= W) continue;
            sum = dot(x + (at / down * W + by / across) * C, offset, weights + ((k * kh + i) * kw + j) * C, C, sum);
          }
        y[k] = result(sum, multiplier[k], shift[k], to);
      }
}

static void max_pool(const int8_t *x, int H, int W, int C, int8_t *y, int h, int w, int kh, int kw, int down,
                     int across, int top, int left, Result to) {
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++)
      for (int k = 0; k < C; k++) {
        int best = -128;
        for (int i = 0; i < kh; i++)
          for (int j = 0; j < kw; j++) {
            int at = r * down - top + i, by = c * across - left + j;
            if (at < 0 || at >= H || by < 0 || by >= W) continue;
            int v = x[(at * W + by) * C + k];
            best = v > best ? v : best;
          }
        *y++ = (int8_t)(best < to.low ? to.low : best > to.high ? to.high : best);
      }
}

static void avg_pool(const int8_t *x, int H, int W, int C, int8_t *y, int h, int w, int kh, int kw, int down,
                     int across, int top, int left, Result to) {
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++)
      for (int k = 0; k < C; k++) {
        int sum = 0, count = 0;
        for (int i = 0; i < kh; i++)
          for (int j = 0; j < kw; j++) {
            int at = r * down - top + i, by = c * across - left + j;
            if (at < 0 || at >= H || by < 0 || by >= W) continue;
            sum += x[(at * W + by) * C + k], count++;
          }
        int mean = sum >= 0 ? (sum + count / 2) / count : -((count / 2 - sum) / count);
        *y++ = (int8_t)(mean < to.low ? to.low : mean > to.high ? to.high : mean);
      }
}

static void mean(const int8_t *x, int places, int C, int8_t *y, int offset, int32_t multiplier, int shift, Result to) {
  for (int k = 0; k < C; k++) {
    int32_t sum = places * offset;
    for (int i = 0; i < places; i++) sum += x[i * C + k];
    y[k] = result(sum, multiplier, shift, to);
  }
}

static void add(const int8_t *a, const int8_t *b, int n, int8_t *y, const int32_t *how, int32_t multiplier, int shift,
                Result to) { /* how: offset, multiplier and shift of a, then of b, then the common shift to the left */
  for (int i = 0; i < n; i++) {
    int32_t one = multiplied((a[i] + how[0]) * (1 << how[6]), how[1], how[2], to.twice);
    int32_t two = multiplied((b[i] + how[3]) * (1 << how[6]), how[4], how[5], to.twice);
    y[i] = result(one + two, multiplier, shift, to);
  }
}

static void by_table(const int8_t *x, int n, int8_t *y, const int8_t *table) {
  for (int i = 0; i < n; i++) y[i] = table[x[i] + 128];
}

static void softmax(const int8_t *x, int places, int K, int8_t *y, const int32_t *table) {
  for (int i = 0; i < places; i++, x += K, y += K) {
    int best = -128;
    for (int k = 0; k < K; k++) best = x[k] > best ? x[k] : best;
    uint32_t total = 0;
    for (int k = 0; k < K; k++) total += (uint32_t)table[best - x[k]];
    for (int k = 0; k < K; k++) {
      uint32_t share = ((uint32_t)table[best - x[k]] * 256 + total / 2) / total;
      y[k] = (int8_t)(share > 255 ? 127 : (int32_t)share - 128);
    }
  }
}
