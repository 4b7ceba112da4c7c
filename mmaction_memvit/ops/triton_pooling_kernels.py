# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Kernels of channels-last pooling with its norm, in Triton.

A program takes some tokens and the channels of one head; the taps of the
kernel are unrolled, sums are float32. The gradient of the tokens gathers
from all poolings at once. That of a kernel is held in registers, a tile of
taps and channels, while a program walks along the tokens; a second kernel
adds up the programs: no atomics, so the same sums in every run.
"""
import triton
import triton.language as tl

from .triton_layer_norm import normalize


@triton.jit
def forward_kernel(x_ptr, w_ptr, gamma_ptr, beta_ptr, out_ptr, conv_ptr,
                    mean_ptr, rstd_ptr, rows, first, T, H, W, OT, OH, OW, ST,
                    SH, SW, PT, PH, PW, eps, C: tl.constexpr, D: tl.constexpr,
                    KT: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
                    KEEP: tl.constexpr, BLOCK_P: tl.constexpr,
                    BLOCK_D: tl.constexpr):
    head = tl.program_id(1)
    row = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    col = tl.arange(0, BLOCK_D)
    live, real = row < rows, col < D
    num_out = first + OT * OH * OW
    batch = (row // num_out).to(tl.int64)
    place = row % num_out - first
    on_grid = live & (place >= 0)
    # First place under the kernel; the last two may lie before the grid.
    t = place // (OH * OW) * ST - PT
    h = place // OW % OH * SH - PH
    w = place % OW * SW - PW
    sample = batch * (first + T * H * W) + first
    base = (sample + (t * H + h) * W + w) * C + head * D
    acc = tl.load(
        x_ptr + ((sample + place) * C + head * D)[:, None] + col[None, :],
        mask=(live & (place < 0))[:, None] & real[None, :],
        other=0.).to(tl.float32)
    for kt in range(KT):
        ok_t = on_grid & (t + kt >= 0) & (t + kt < T)
        for kh in tl.static_range(KH):
            ok_h = ok_t & (h + kh >= 0) & (h + kh < H)
            at = base + ((kt * H + kh) * W) * C
            for kw in tl.static_range(KW):
                ok = ok_h & (w + kw >= 0) & (w + kw < W)
                x = tl.load(
                    x_ptr + (at + kw * C)[:, None] + col[None, :],
                    mask=ok[:, None] & real[None, :],
                    other=0.)
                tap = tl.load(
                    w_ptr + ((kt * KH + kh) * KW + kw) * D + col,
                    mask=real,
                    other=0.)
                acc += x.to(tl.float32) * tap.to(tl.float32)[None, :]
    inside = live[:, None] & real[None, :]
    gamma = tl.load(gamma_ptr + col, mask=real, other=0.).to(tl.float32)
    beta = tl.load(beta_ptr + col, mask=real, other=0.).to(tl.float32)
    out, mean, rstd = normalize(acc, gamma, beta, inside, eps, D)
    at = row.to(tl.int64) * C + head * D
    at = at[:, None] + col[None, :]
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=inside)
    if KEEP:
        tl.store(
            conv_ptr + at, acc.to(conv_ptr.dtype.element_ty), mask=inside)
        at = row.to(tl.int64) * (C // D) + head
        tl.store(mean_ptr + at, mean, mask=live)
        tl.store(rstd_ptr + at, rstd, mask=live)


@triton.jit
def _gather(acc, dy_ptr, w_ptr, sample, place, t, h, w, live, first, col, real,
            OT, OH, OW, PT, PH, PW, C: tl.constexpr, D: tl.constexpr,
            KT: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
            ST: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
            UNROLL: tl.constexpr):
    """Add what the places of one pooling send back to the tokens.

    Only kernel places that the stride can reach are looked at:
    ceil(K / S) of an axis, from that of the token's remainder on.
    """
    base = (sample * (first + OT * OH * OW) + first) * C
    acc += tl.load(
        dy_ptr + (base + place * C)[:, None] + col[None, :],
        mask=(live & (place < 0))[:, None] & real[None, :],
        other=0.).to(tl.float32)
    live = live & (place >= 0)
    t, h, w = t + PT, h + PH, w + PW
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
                    dy = tl.load(
                        dy_ptr + at[:, None] + col[None, :],
                        mask=inside,
                        other=0.).to(tl.float32)
                    step = (jt * ST * KH + jh * SH) * KW + jw * SW
                    if UNROLL > 1:  # all rows meet the same tap
                        weight = tl.load(
                            w_ptr + step * D + col % D, mask=real, other=0.)
                        acc += dy * weight.to(tl.float32)[None, :]
                    else:
                        weight = tl.load(
                            w_ptr + (tap + step)[:, None] * D +
                            (col % D)[None, :],
                            mask=inside,
                            other=0.)
                        acc += dy * weight.to(tl.float32)
    return acc


@triton.jit
def tokens_kernel(
        dx_ptr, rows, first, T, H, W, PT, PH, PW, dy0_ptr, w0_ptr, OT0, OH0,
        OW0, dy1_ptr, w1_ptr, OT1, OH1, OW1, dy2_ptr, w2_ptr, OT2, OH2, OW2,
        C: tl.constexpr, D: tl.constexpr, KT: tl.constexpr, KH: tl.constexpr,
        KW: tl.constexpr, NUM: tl.constexpr, ST0: tl.constexpr,
        SH0: tl.constexpr, SW0: tl.constexpr, ST1: tl.constexpr,
        SH1: tl.constexpr, SW1: tl.constexpr, ST2: tl.constexpr,
        SH2: tl.constexpr, SW2: tl.constexpr, UNROLL0: tl.constexpr,
        UNROLL1: tl.constexpr, UNROLL2: tl.constexpr, BLOCK_P: tl.constexpr,
        BLOCK_C: tl.constexpr):
    row = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    col = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    live, real = row < rows, col < C
    num = first + T * H * W
    sample = (row // num).to(tl.int64)
    place = row % num - first
    t, h, w = place // (H * W), place // W % H, place % W
    acc = tl.zeros((BLOCK_P, BLOCK_C), dtype=tl.float32)
    acc = _gather(acc, dy0_ptr, w0_ptr, sample, place, t, h, w, live, first,
                  col, real, OT0, OH0, OW0, PT, PH, PW, C, D, KT, KH, KW, ST0,
                  SH0, SW0, UNROLL0)
    if NUM > 1:
        acc = _gather(acc, dy1_ptr, w1_ptr, sample, place, t, h, w, live,
                      first, col, real, OT1, OH1, OW1, PT, PH, PW, C, D, KT,
                      KH, KW, ST1, SH1, SW1, UNROLL1)
    if NUM > 2:
        acc = _gather(acc, dy2_ptr, w2_ptr, sample, place, t, h, w, live,
                      first, col, real, OT2, OH2, OW2, PT, PH, PW, C, D, KT,
                      KH, KW, ST2, SH2, SW2, UNROLL2)
    tl.store(
        dx_ptr + (row.to(tl.int64) * C)[:, None] + col[None, :],
        acc.to(dx_ptr.dtype.element_ty),
        mask=live[:, None] & real[None, :])


@triton.jit
def weight_kernel(x_ptr, dy_ptr, part_ptr, lines, first, T, H, W, OT, OH, OW,
                   ST, SH, SW, PT, PH, PW, C: tl.constexpr, KT: tl.constexpr,
                   KH: tl.constexpr, KW: tl.constexpr, UNROLL: tl.constexpr,
                   BLOCK_K: tl.constexpr, BLOCK_C: tl.constexpr):
    """Sums over lines along W: (programs, taps, C)."""
    tap = tl.arange(0, BLOCK_K)
    kt, kh, kw = tap // (KH * KW), tap // KW % KH, tap % KW
    col = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    real = col < C
    acc = tl.zeros((BLOCK_K, BLOCK_C), dtype=tl.float32)
    # Neighbours in a row: their tokens are in the cache.
    each = tl.cdiv(lines, tl.num_programs(0))
    begin = tl.program_id(0) * each
    for line in range(begin, tl.minimum(begin + each, lines)):
        sample = (line // (OT * OH)).to(tl.int64)
        t = line // OH % OT * ST - PT + kt
        h = line % OH * SH - PH + kh
        ok = (tap < KT * KH * KW) & (t >= 0) & (t < T) & (h >= 0) & (h < H)
        at = sample * (first + T * H * W) + first + (t * H + h) * W
        at = (at + kw - PW) * C
        dy_at = sample * (first + OT * OH * OW) + first
        dy_at = (dy_at + line % (OT * OH) * OW) * C
        for start in range(0, OW, UNROLL):
            for u in tl.static_range(UNROLL):
                w = (start + u) * SW - PW + kw
                ok_w = ok & (w >= 0) & (w < W) & (kw + start + u < kw + OW)
                x = tl.load(
                    x_ptr + (at + (start + u) * SW * C)[:, None] +
                    col[None, :],
                    mask=ok_w[:, None] & real[None, :],
                    other=0.)
                place = (start + u) * C + col
                # The same for all taps; loaded in the layout of x.
                dy = tl.load(
                    dy_ptr + (dy_at + place)[None, :] + (tap * 0)[:, None],
                    mask=(real & (place < OW * C))[None, :] &
                    (tap >= 0)[:, None],
                    other=0.)
                acc += x.to(tl.float32) * dy.to(tl.float32)
    tap = tl.program_id(0) * (KT * KH * KW) + tap
    tl.store(
        part_ptr + tap.to(tl.int64)[:, None] * C + col[None, :],
        acc,
        mask=(tl.arange(0, BLOCK_K) < KT * KH * KW)[:, None] & real[None, :])


@triton.jit
def sum_kernel(part_ptr, dweight_ptr, rows, D: tl.constexpr,
                HEADS: tl.constexpr, TAPS: tl.constexpr,
                BLOCK_P: tl.constexpr, BLOCK_D: tl.constexpr):
    """Sum (programs, taps, heads, D) to (D, taps)."""
    tap = tl.program_id(0)
    col = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    acc = tl.zeros((BLOCK_P, BLOCK_D), dtype=tl.float32)
    for start in range(0, rows, BLOCK_P):
        row = start + tl.arange(0, BLOCK_P)
        at = (row // HEADS * TAPS + tap).to(tl.int64) * HEADS + row % HEADS
        acc += tl.load(
            part_ptr + at[:, None] * D + col[None, :],
            mask=(row < rows)[:, None] & (col < D)[None, :],
            other=0.)
    tl.store(
        dweight_ptr + col * TAPS + tap,
        tl.sum(acc, axis=0).to(dweight_ptr.dtype.element_ty),
        mask=col < D)
