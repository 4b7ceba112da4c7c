# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Kernels of channels-last pooling with its norm, in Triton.

One launch serves up to three poolings, the jobs; a job's rows lie behind
those of the jobs before in what is kept for the backward pass. A program
takes some tokens and the channels of one head; the taps of the kernel are
unrolled, sums are float32. The gradient of the tokens gathers from all jobs
at once. That of a kernel is held in registers, a tile of taps and channels,
while a program walks along the tokens; a second kernel adds up the programs:
no atomics, so the same sums in every run.
"""
import triton
import triton.language as tl

from .triton_launch import pick, pick_pointer
from .triton_layer_norm import normalize, normalize_backward

# Sizes: a kernel built anew for each would gain nothing.
_SIZES = ['batch', 'first', 'T', 'H', 'W', 'programs', 'norm_programs'] + [
    f'{x}{job}' for job in range(3)
    for x in ('OT', 'OH', 'OW', 'ST', 'SH', 'SW')]


def _jit(kernel):
    names = kernel.__code__.co_varnames[:kernel.__code__.co_argcount]
    fixed = kernel.__annotations__
    return triton.jit(
        kernel,
        do_not_specialize=[x for x in names if x in _SIZES and x not in fixed])


@triton.jit
def _convolve(acc, x_ptr, w_ptr, base, on_grid, t, h, w, col, real, T, H, W, C,
              D: tl.constexpr, KT: tl.constexpr, KH: tl.constexpr,
              KW: tl.constexpr):
    """Add what lies under the kernel whose first place is (t, h, w)."""
    for kt in range(KT):
        ok_t = on_grid & (t + kt >= 0) & (t + kt < T)
        for kh in tl.static_range(KH):
            ok_h = ok_t & (h + kh >= 0) & (h + kh < H)
            at = base + ((kt * H + kh) * W) * C
            for kw in tl.static_range(KW):
                ok = ok_h & (w + kw >= 0) & (w + kw < W)
                x = tl.load(x_ptr + (at + kw * C)[:, None] + col[None, :],
                            mask=ok[:, None] & real[None, :], other=0.)
                tap = tl.load(w_ptr + ((kt * KH + kh) * KW + kw) * D + col,
                              mask=real, other=0.)
                acc += x.to(tl.float32) * tap.to(tl.float32)[None, :]
    return acc


@_jit
def forward_kernel(
        x0, x1, x2, w_ptr, gamma0, gamma1, gamma2, beta0, beta1, beta2, out0,
        out1, out2, conv_ptr, stats_ptr, batch, first, T, H, W, OT0, OH0, OW0,
        ST0, SH0, SW0, OT1, OH1, OW1, ST1, SH1, SW1, OT2, OH2, OW2, ST2, SH2,
        SW2, C, eps, JOBS: tl.constexpr, D: tl.constexpr, KT: tl.constexpr,
        KH: tl.constexpr, KW: tl.constexpr, CAUSAL: tl.constexpr,
        KEEP: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_D: tl.constexpr):
    block = tl.program_id(0)
    job = block * 0
    rows = batch * (first + OT0 * OH0 * OW0)
    before, total = job, rows
    x_ptr, gamma_ptr, beta_ptr, out_ptr = x0, gamma0, beta0, out0
    OT, OH, OW, ST, SH, SW = OT0, OH0, OW0, ST0, SH0, SW0
    if JOBS > 1:
        rows1 = batch * (first + OT1 * OH1 * OW1)
        rows2 = batch * (first + OT2 * OH2 * OW2) * (JOBS - 2)
        blocks0, blocks1 = tl.cdiv(rows, BLOCK_P), tl.cdiv(rows1, BLOCK_P)
        total = rows + rows1 + rows2
        job = (block >= blocks0).to(tl.int32) + (block >= blocks0 + blocks1)
        block -= pick(job, 0, blocks0, blocks0 + blocks1)
        before = pick(job, 0, rows, rows + rows1)
        rows = pick(job, rows, rows1, rows2)
        x_ptr = pick_pointer(job, x0, x1, x2)
        gamma_ptr = pick_pointer(job, gamma0, gamma1, gamma2)
        beta_ptr = pick_pointer(job, beta0, beta1, beta2)
        out_ptr = pick_pointer(job, out0, out1, out2)
        OT, OH, OW = pick(job, OT0, OT1, OT2), pick(
            job, OH0, OH1, OH2), pick(job, OW0, OW1, OW2)
        ST, SH, SW = pick(job, ST0, ST1, ST2), pick(
            job, SH0, SH1, SH2), pick(job, SW0, SW1, SW2)
    PT: tl.constexpr = KT - 1 if CAUSAL else KT // 2
    head = tl.program_id(1)
    row = block * BLOCK_P + tl.arange(0, BLOCK_P)
    col = tl.arange(0, BLOCK_D)
    live, real = row < rows, col < D
    num_out = first + OT * OH * OW
    item = (row // num_out).to(tl.int64)
    place = row % num_out - first
    on_grid = live & (place >= 0)
    # First place under the kernel; the last two may lie before the grid.
    t = place // (OH * OW) * ST - PT
    h = place // OW % OH * SH - KH // 2
    w = place % OW * SW - KW // 2
    sample = item * (first + T * H * W) + first
    base = (sample + (t * H + h) * W + w) * C + head * D
    acc = tl.load(
        x_ptr + ((sample + place) * C + head * D)[:, None] + col[None, :],
        mask=(live & (place < 0))[:, None] & real[None, :],
        other=0.).to(tl.float32)
    acc = _convolve(acc, x_ptr, w_ptr + job * (KT * KH * KW * D), base,
                    on_grid, t, h, w, col, real, T, H, W, C, D, KT, KH, KW)
    inside = live[:, None] & real[None, :]
    gamma = tl.load(gamma_ptr + col, mask=real, other=0.).to(tl.float32)
    beta = tl.load(beta_ptr + col, mask=real, other=0.).to(tl.float32)
    out, mean, rstd = normalize(acc, gamma, beta, inside, eps, D)
    at = row.to(tl.int64) * C + head * D
    at = at[:, None] + col[None, :]
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=inside)
    if KEEP:
        tl.store(conv_ptr + before.to(tl.int64) * C + at,
                 acc.to(conv_ptr.dtype.element_ty), mask=inside)
        at = (before + row).to(tl.int64) * (C // D) + head
        tl.store(stats_ptr + at, mean, mask=live)
        at += total.to(tl.int64) * (C // D)
        tl.store(stats_ptr + at, rstd, mask=live)


@_jit
def norm_kernel(grad0, grad1, grad2, conv_ptr, stats_ptr, gamma0, gamma1,
                gamma2, dy_ptr, part_ptr, batch, first, OT0, OH0, OW0, OT1,
                OH1, OW1, OT2, OH2, OW2, norm_programs, C, JOBS: tl.constexpr,
                D: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_D: tl.constexpr):
    """Backward of the norms: dy, and (jobs, programs, 2, D) of parameters."""
    job = tl.program_id(1)
    rows0 = batch * (first + OT0 * OH0 * OW0) * (C // D)
    rows1 = batch * (first + OT1 * OH1 * OW1) * (C // D)
    rows2 = batch * (first + OT2 * OH2 * OW2) * (C // D)
    total = rows0
    if JOBS > 1:
        total += rows1
    if JOBS > 2:
        total += rows2
    before = pick(job, 0, rows0, rows0 + rows1)
    rows = pick(job, rows0, rows1, rows2)
    grad_ptr = pick_pointer(job, grad0, grad1, grad2)
    gamma_ptr = pick_pointer(job, gamma0, gamma1, gamma2)
    col = tl.arange(0, BLOCK_D)
    gamma = tl.load(gamma_ptr + col, mask=col < D, other=0.).to(tl.float32)
    dgamma = tl.zeros((BLOCK_P, BLOCK_D), dtype=tl.float32)
    dbeta = tl.zeros((BLOCK_P, BLOCK_D), dtype=tl.float32)
    for start in range(
            tl.program_id(0) * BLOCK_P, rows, norm_programs * BLOCK_P):
        row = start + tl.arange(0, BLOCK_P)
        live = row < rows
        inside = live[:, None] & (col < D)[None, :]
        kept = (before + row).to(tl.int64)
        grad = tl.load(
            grad_ptr + (row.to(tl.int64) * D)[:, None] + col[None, :],
            mask=inside, other=0.).to(tl.float32)
        at = (kept * D)[:, None] + col[None, :]
        x = tl.load(conv_ptr + at, mask=inside, other=0.).to(tl.float32)
        mean = tl.load(stats_ptr + kept, mask=live, other=0.)
        rstd = tl.load(stats_ptr + total + kept, mask=live, other=0.)
        dy, x = normalize_backward(grad, x, mean, rstd, gamma, inside, D)
        dgamma += grad * x
        dbeta += grad
        tl.store(dy_ptr + at, dy.to(dy_ptr.dtype.element_ty), mask=inside)
    at = part_ptr + (job * norm_programs + tl.program_id(0)) * 2 * D + col
    tl.store(at, tl.sum(dgamma, axis=0), mask=col < D)
    tl.store(at + D, tl.sum(dbeta, axis=0), mask=col < D)


@triton.jit
def _gather(acc, dy_ptr, w_ptr, sample, place, t, h, w, live, first, col, real,
            OT, OH, OW, C, D: tl.constexpr, KT: tl.constexpr, KH: tl.constexpr,
            KW: tl.constexpr, PT: tl.constexpr, ST: tl.constexpr,
            SH: tl.constexpr, SW: tl.constexpr, UNROLL: tl.constexpr):
    """Add what the places of one pooling send back to the tokens.

    Only kernel places that the stride can reach are looked at:
    ceil(K / S) of an axis, from that of the token's remainder on.
    """
    base = (sample * (first + OT * OH * OW) + first) * C
    acc += tl.load(dy_ptr + (base + place * C)[:, None] + col[None, :],
                   mask=(live & (place < 0))[:, None] & real[None, :],
                   other=0.).to(tl.float32)
    live = live & (place >= 0)
    t, h, w = t + PT, h + KH // 2, w + KW // 2
    base += ((t // ST * OH + h // SH) * OW + w // SW) * C
    tap = (t % ST * KH + h % SH) * KW + w % SW
    for jt in range((KT + ST - 1) // ST):
        ok_t = live & (t >= jt * ST) & (t // ST - jt < OT)
        ok_t = ok_t & (t % ST + jt * ST < KT)
        for jh in range((KH + SH - 1) // SH):
            ok_h = ok_t & (h >= jh * SH) & (h // SH - jh < OH)
            ok_h = ok_h & (h % SH + jh * SH < KH)
            for start in range(0, (KW + SW - 1) // SW, UNROLL):
                for u in tl.static_range(UNROLL):
                    jw = start + u
                    ok = ok_h & (w >= jw * SW) & (w // SW - jw < OW)
                    ok = ok & (w % SW + jw * SW < KW)
                    inside = ok[:, None] & real[None, :]
                    at = base - ((jt * OH + jh) * OW + jw) * C
                    dy = tl.load(dy_ptr + at[:, None] + col[None, :],
                                 mask=inside, other=0.).to(tl.float32)
                    step = (jt * ST * KH + jh * SH) * KW + jw * SW
                    if UNROLL > 1:  # all rows meet the same tap
                        weight = tl.load(
                            w_ptr + step * D + col % D, mask=real, other=0.)
                        acc += dy * weight.to(tl.float32)[None, :]
                    else:
                        weight = tl.load(
                            w_ptr + (tap + step)[:, None] * D +
                            (col % D)[None, :],
                            mask=inside, other=0.)
                        acc += dy * weight.to(tl.float32)
    return acc


@_jit
def tokens_kernel(dx_ptr, dy_ptr, w_ptr, batch, first, T, H, W, OT0, OH0, OW0,
                  OT1, OH1, OW1, OT2, OH2, OW2, C, JOBS: tl.constexpr,
                  D: tl.constexpr, KT: tl.constexpr, KH: tl.constexpr,
                  KW: tl.constexpr, CAUSAL: tl.constexpr, ST0: tl.constexpr,
                  SH0: tl.constexpr, SW0: tl.constexpr, UNROLL0: tl.constexpr,
                  ST1: tl.constexpr, SH1: tl.constexpr, SW1: tl.constexpr,
                  UNROLL1: tl.constexpr, ST2: tl.constexpr, SH2: tl.constexpr,
                  SW2: tl.constexpr, UNROLL2: tl.constexpr,
                  BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    """Gradient of tokens that all jobs pooled."""
    PT: tl.constexpr = KT - 1 if CAUSAL else KT // 2
    TAPS: tl.constexpr = KT * KH * KW * D
    num = first + T * H * W
    row = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    col = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    live, real = row < batch * num, col < C
    sample = (row // num).to(tl.int64)
    place = row % num - first
    t, h, w = place // (H * W), place // W % H, place % W
    acc = tl.zeros((BLOCK_P, BLOCK_C), dtype=tl.float32)
    acc = _gather(acc, dy_ptr, w_ptr, sample, place, t, h, w, live, first, col,
                  real, OT0, OH0, OW0, C, D, KT, KH, KW, PT, ST0, SH0, SW0,
                  UNROLL0)
    if JOBS > 1:
        dy_ptr += (batch * (first + OT0 * OH0 * OW0)).to(tl.int64) * C
        acc = _gather(acc, dy_ptr, w_ptr + TAPS, sample, place, t, h, w, live,
                      first, col, real, OT1, OH1, OW1, C, D, KT, KH, KW, PT,
                      ST1, SH1, SW1, UNROLL1)
    if JOBS > 2:
        dy_ptr += (batch * (first + OT1 * OH1 * OW1)).to(tl.int64) * C
        acc = _gather(acc, dy_ptr, w_ptr + 2 * TAPS, sample, place, t, h, w,
                      live, first, col, real, OT2, OH2, OW2, C, D, KT, KH, KW,
                      PT, ST2, SH2, SW2, UNROLL2)
    tl.store(dx_ptr + (row.to(tl.int64) * C)[:, None] + col[None, :],
             acc.to(dx_ptr.dtype.element_ty),
             mask=live[:, None] & real[None, :])


@_jit
def weight_kernel(x0, x1, x2, dy_ptr, part_ptr, batch, first, T, H, W, OT0,
                  OH0, OW0, ST0, SH0, SW0, OT1, OH1, OW1, ST1, SH1, SW1, OT2,
                  OH2, OW2, ST2, SH2, SW2, programs, C, JOBS: tl.constexpr,
                  KT: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
                  CAUSAL: tl.constexpr, UNROLL: tl.constexpr,
                  BLOCK_K: tl.constexpr, BLOCK_C: tl.constexpr):
    """Sums over lines along W: (jobs, programs, taps, C)."""
    PT: tl.constexpr = KT - 1 if CAUSAL else KT // 2
    job = tl.program_id(2)
    rows0 = batch * (first + OT0 * OH0 * OW0)
    rows1 = batch * (first + OT1 * OH1 * OW1)
    dy_ptr += pick(job, 0, rows0, rows0 + rows1).to(tl.int64) * C
    x_ptr = pick_pointer(job, x0, x1, x2)
    OT, OH, OW = pick(job, OT0, OT1, OT2), pick(job, OH0, OH1, OH2), pick(
        job, OW0, OW1, OW2)
    ST, SH, SW = pick(job, ST0, ST1, ST2), pick(job, SH0, SH1, SH2), pick(
        job, SW0, SW1, SW2)
    tap = tl.arange(0, BLOCK_K)
    kt, kh, kw = tap // (KH * KW), tap // KW % KH, tap % KW
    col = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    real = col < C
    acc = tl.zeros((BLOCK_K, BLOCK_C), dtype=tl.float32)
    # Neighbours in a row: their tokens are in the cache.
    lines = batch * OT * OH
    each = tl.cdiv(lines, programs)
    begin = tl.program_id(0) * each
    for line in range(begin, tl.minimum(begin + each, lines)):
        sample = (line // (OT * OH)).to(tl.int64)
        t = line // OH % OT * ST - PT + kt
        h = line % OH * SH - KH // 2 + kh
        ok = (tap < KT * KH * KW) & (t >= 0) & (t < T) & (h >= 0) & (h < H)
        at = sample * (first + T * H * W) + first + (t * H + h) * W
        at = (at + kw - KW // 2) * C
        dy_at = sample * (first + OT * OH * OW) + first
        dy_at = (dy_at + line % (OT * OH) * OW) * C
        for start in range(0, OW, UNROLL):
            for u in tl.static_range(UNROLL):
                w = (start + u) * SW - KW // 2 + kw
                ok_w = ok & (w >= 0) & (w < W) & (kw + start + u < kw + OW)
                x = tl.load(
                    x_ptr + (at + (start + u) * SW * C)[:, None] +
                    col[None, :],
                    mask=ok_w[:, None] & real[None, :], other=0.)
                place = (start + u) * C + col
                # The same for all taps; loaded in the layout of x.
                dy = tl.load(
                    dy_ptr + (dy_at + place)[None, :] + (tap * 0)[:, None],
                    mask=(real & (place < OW * C))[None, :] &
                    (tap >= 0)[:, None],
                    other=0.)
                acc += x.to(tl.float32) * dy.to(tl.float32)
    at = (job * programs + tl.program_id(0)) * (KT * KH * KW) + tap
    tl.store(part_ptr + at.to(tl.int64)[:, None] * C + col[None, :], acc,
             mask=(tap < KT * KH * KW)[:, None] & real[None, :])


@_jit
def sum_kernel(part_ptr, norm_part_ptr, dweight_ptr, dgamma_ptr, dbeta_ptr,
               programs, norm_programs, heads, D: tl.constexpr,
               TAPS: tl.constexpr, BLOCK_P: tl.constexpr,
               BLOCK_D: tl.constexpr):
    """Add up the programs of :func:`weight_kernel` and :func:`norm_kernel`.

    Gives (jobs, D, taps) and twice (jobs, D).
    """
    kind, job = tl.program_id(0), tl.program_id(2)
    col = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    real = col < D
    acc = tl.zeros((BLOCK_P, BLOCK_D), dtype=tl.float32)
    is_norm = kind >= TAPS
    each = tl.where(is_norm, 1, heads)
    rows = tl.where(is_norm, norm_programs, programs * heads)
    kinds, tap = tl.where(is_norm, 2, TAPS), kind - tl.where(is_norm, TAPS, 0)
    step, first = tl.where(is_norm, 1, TAPS), tl.where(is_norm, 0, kind)
    out_ptr = dweight_ptr
    if kind >= TAPS:
        part_ptr, out_ptr = norm_part_ptr, dgamma_ptr
    if kind > TAPS:
        out_ptr = dbeta_ptr
    for start in range(0, rows, BLOCK_P):
        row = start + tl.arange(0, BLOCK_P)
        line = job * (rows // each) + row // each
        at = (line * kinds + tap).to(tl.int64) * each + row % each
        acc += tl.load(part_ptr + at[:, None] * D + col[None, :],
                       mask=(row < rows)[:, None] & real[None, :], other=0.)
    tl.store(out_ptr + (job * D + col) * step + first,
             tl.sum(acc, axis=0).to(out_ptr.dtype.element_ty), mask=real)
