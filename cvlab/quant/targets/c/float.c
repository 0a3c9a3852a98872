/* The layers of a network in floating point, as plain as those of int8.c: for chips that have it, and to see what it
   costs on those that have not. Weights are (kh, kw, C, K), so that the inner loop runs over numbers side by side. */

typedef struct { float low, high; } Result;

static float result(float v, Result to) { return v < to.low ? to.low : v > to.high ? to.high : v; }

static void conv(const float *x, int H, int W, int C, float *y, int h, int w, int K, int kh, int kw, int down,
                 int across, int top, int left, const float *weights, const float *bias, Result to) {
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++, y += K) {
      for (int k = 0; k < K; k++) scratch[k] = bias[k];
      for (int i = 0; i < kh; i++)
        for (int j = 0; j < kw; j++) {
          int at = r * down - top + i, by = c * across - left + j;
          if (at < 0 || at >= H || by < 0 || by >= W) continue;
          const float *p = x + (at * W + by) * C, *q = weights + (i * kw + j) * C * K;
          for (int n = 0; n < C; n++, q += K)
            for (int k = 0; k < K; k++) scratch[k] += p[n] * q[k];
        }
      for (int k = 0; k < K; k++) y[k] = result(scratch[k], to);
    }
}

static void depthwise(const float *x, int H, int W, int C, float *y, int h, int w, int K, int kh, int kw, int down,
                      int across, int top, int left, const float *weights, const float *bias, Result to) {
  int each = K / C;
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++, y += K) {
      for (int k = 0; k < K; k++) scratch[k] = bias[k];
      for (int i = 0; i < kh; i++)
        for (int j = 0; j < kw; j++) {
          int at = r * down - top + i, by = c * across - left + j;
          if (at < 0 || at >= H || by < 0 || by >= W) continue;
          const float *p = x + (at * W + by) * C, *q = weights + (i * kw + j) * K;
          if (each == 1) for (int k = 0; k < K; k++) scratch[k] += p[k] * q[k];
          else for (int k = 0; k < K; k++) scratch[k] += p[k / each] * q[k];
        }
      for (int k = 0; k < K; k++) y[k] = result(scratch[k], to);
    }
}

static void conv_transpose(const float *x, int H, int W, int C, float *y, int h, int w, int K, int kh, int kw,
                           int down, int across, int top, int left, const float *weights, const float *bias,
                           Result to) {
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++, y += K) {
      for (int k = 0; k < K; k++) scratch[k] = bias[k];
      for (int i = 0; i < kh; i++)
        for (int j = 0; j < kw; j++) {
          int at = r + top - i, by = c + left - j;
          if (at < 0 || by < 0 || at % down || by % across || at / down >= H || by / across >= W) continue;
          const float *p = x + (at / down * W + by / across) * C, *q = weights + (i * kw + j) * C * K;
          for (int n = 0; n < C; n++, q += K)
            for (int k = 0; k < K; k++) scratch[k] += p[n] * q[k];
        }
      for (int k = 0; k < K; k++) y[k] = result(scratch[k], to);
    }
}

static void max_pool(const float *x, int H, int W, int C, float *y, int h, int w, int kh, int kw, int down, int across,
                     int top, int left) {
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++)
      for (int k = 0; k < C; k++) {
        float best = -3.4e38f;
        for (int i = 0; i < kh; i++)
          for (int j = 0; j < kw; j++) {
            int at = r * down - top + i, by = c * across - left + j;
            if (at < 0 || at >= H || by < 0 || by >= W) continue;
            float v = x[(at * W + by) * C + k];
            best = v > best ? v : best;
          }
        *y++ = best;
      }
}

static void avg_pool(const float *x, int H, int W, int C, float *y, int h, int w, int kh, int kw, int down, int across,
                     int top, int left) {
  for (int r = 0; r < h; r++)
    for (int c = 0; c < w; c++)
      for (int k = 0; k < C; k++) {
        float sum = 0;
        int count = 0;
        for (int i = 0; i < kh; i++)
          for (int j = 0; j < kw; j++) {
            int at = r * down - top + i, by = c * across - left + j;
            if (at < 0 || at >= H || by < 0 || by >= W) continue;
            sum += x[(at * W + by) * C + k], count++;
          }
        *y++ = sum / (float)count;
      }
}

static void mean(const float *x, int places, int C, float *y) {
  for (int k = 0; k < C; k++) {
    float sum = 0;
    for (int i = 0; i < places; i++) sum += x[i * C + k];
    y[k] = sum / (float)places;
  }
}

static void add(const float *a, const float *b, int n, float *y, Result to) {
  for (int i = 0; i < n; i++) y[i] = result(a[i] + b[i], to);
}

static void clamp(const float *x, int n, float *y, Result to) {
  for (int i = 0; i < n; i++) y[i] = result(x[i], to);
}

static float exponential(float x) { /* 2^whole times a polynomial of the rest: there is no library here */
  if (x < -87) return 0;
  if (x > 88) x = 88;
  float turns = x * 1.44269504f;
  int whole = (int)(turns < 0 ? turns - 0.5f : turns + 0.5f);
  float t = x - (float)whole * 0.693359375f + (float)whole * 2.12194440e-4f;
  float p = 1 + t * (1 + t * (0.5f + t * (0.166666657f + t * (0.0416666567f + t * (0.00833345f + t * 0.00138889f)))));
  union { int32_t bits; float value; } power = {(whole + 127) << 23};
  return p * power.value;
}

static void sigmoid(const float *x, int n, float *y) {
  for (int i = 0; i < n; i++) y[i] = 1 / (1 + exponential(-x[i]));
}

static void hard_swish(const float *x, int n, float *y) {
  for (int i = 0; i < n; i++) y[i] = x[i] * result(x[i] + 3, (Result){0, 6}) / 6;
}

static void silu(const float *x, int n, float *y) {
  for (int i = 0; i < n; i++) y[i] = x[i] / (1 + exponential(-x[i]));
}

static void softmax(const float *x, int places, int K, float *y) {
  for (int i = 0; i < places; i++, x += K, y += K) {
    float best = x[0], total = 0;
    for (int k = 1; k < K; k++) best = x[k] > best ? x[k] : best;
    for (int k = 0; k < K; k++) total += y[k] = exponential(x[k] - best);
    for (int k = 0; k < K; k++) y[k] /= total;
  }
}

static float square_root(double x) { /* Newton's method, from a start that is right in its exponent */
  if (x <= 0) return 0;
  union { double value; uint64_t bits; } start = {x};
  start.bits = (start.bits >> 1) + 0x1ff8000000000000u;
  double r = start.value;
  for (int i = 0; i < 4; i++) r = 0.5 * (r + x / r);
  return (float)r;
}

static void instance_norm(const float *x, int places, int C, float *y, const float *gain, const float *bias, float eps) {
  for (int k = 0; k < C; k++) {
    double sum = 0, squares = 0;
    for (int i = 0; i < places; i++) sum += (double)x[i * C + k];
    double middle = sum / places;
    for (int i = 0; i < places; i++) squares += ((double)x[i * C + k] - middle) * ((double)x[i * C + k] - middle);
    float factor = gain[k] / square_root(squares / places + (double)eps);
    for (int i = 0; i < places; i++) y[i * C + k] = (x[i * C + k] - (float)middle) * factor + bias[k];
  }
}

static void pad_reflect(const float *x, int H, int W, int C, float *y, int down, int across) {
  for (int r = -down; r < H + down; r++)
    for (int c = -across; c < W + across; c++) {
      int at = r < 0 ? -r : r >= H ? 2 * H - 2 - r : r, by = c < 0 ? -c : c >= W ? 2 * W - 2 - c : c;
      for (int k = 0; k < C; k++) *y++ = x[(at * W + by) * C + k];
    }
}
