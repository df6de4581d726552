#!/usr/bin/env python3
"""Times the kernels of a training step on one GPU and prints them as CSV.

    python3 bench/kernels.py > kernels.csv        # needs PyTorch with CUDA

One row per kernel and shape: median of interleaved repetitions by CUDA events, random data, caches
as a loop over the same buffers leaves them (buffers below the L2 size stay in it, as `notes` says).
Columns: id,accelerator,kind,dtype,m,n,k,batch,heads,head_dim,seq_len,bytes,flops,time_us,notes.
"""
import statistics
import sys

import torch
import torch.nn.functional as F

DEVICE = torch.device("cuda")
NAME = torch.cuda.get_device_name().lower().replace("nvidia ", "").replace(" ", "-")
COLUMNS = "m n k batch heads head_dim seq_len bytes flops".split()
rows = 0


def time_us(run, least_us=20_000, repetitions=7):
    """Median over repetitions of the mean of a loop long enough for the clock."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def loop(count):
        begin.record()
        for _ in range(count):
            run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e3 / count

    once = max(loop(3), 1.0)
    count = max(1, min(2000, int(least_us / once)))
    return statistics.median(loop(count) for _ in range(repetitions))


def row(kind, dtype, run, notes="", **values):
    global rows
    try:
        taken = time_us(run)
    except Exception as error:  # a shape that this library has no kernel for, or no memory
        print(f"skipped {kind} {values}: {str(error).splitlines()[0]}", file=sys.stderr)
        return
    rows += 1
    cells = [str(values.get(column, "")) for column in COLUMNS]
    print(",".join([f"{kind}-{rows}", NAME, kind, dtype, *cells, f"{taken:.3f}", notes]), flush=True)


def gemms():
    shapes = [(s, s, s) for s in (256, 512, 1024, 2048, 4096, 8192, 16384)]
    for tokens in (512, 1024, 2048, 4096, 8192, 16384):
        for hidden, ffn in ((1024, 4096), (2048, 8192), (4096, 14336), (8192, 28672), (12288, 49152)):
            for tp in (1, 4, 8):
                shapes += [(tokens, 3 * hidden // tp, hidden), (tokens, hidden, hidden // tp),
                           (tokens, ffn // tp, hidden), (tokens, hidden, ffn // tp)]
    for m, n, k in dict.fromkeys(shapes):
        if m * n + n * k + m * k > 2**31:
            continue
        a = torch.randn(m, k, device=DEVICE, dtype=torch.bfloat16)
        b = torch.randn(n, k, device=DEVICE, dtype=torch.bfloat16)
        out = torch.empty(m, n, device=DEVICE, dtype=torch.bfloat16)
        row("gemm", "bf16", lambda: torch.mm(a, b.t(), out=out), m=m, n=n, k=k, flops=2 * m * n * k)
    for m, n, k in [(s, s, s) for s in (1024, 2048, 4096, 8192, 16384)] + [
            (8192, 3584, 4096), (8192, 4096, 1792), (8192, 28672, 8192), (8192, 8192, 28672)]:
        a = torch.randn(m, k, device=DEVICE).to(torch.float8_e4m3fn)
        b = torch.randn(n, k, device=DEVICE).to(torch.float8_e4m3fn)
        one = torch.ones((), device=DEVICE)
        row("gemm", "fp8", lambda: torch._scaled_mm(a, b.t(), scale_a=one, scale_b=one,
                                                    out_dtype=torch.bfloat16),
            m=m, n=n, k=k, flops=2 * m * n * k)


def memory():
    note = "bytes moved; copy counts read and write"
    for exponent in range(20, 33):
        size = 2**exponent
        x = torch.empty(size // 2, device=DEVICE, dtype=torch.bfloat16).normal_()
        row("hbm_write", "bf16", lambda: x.fill_(1.0), note, bytes=size)
        row("hbm_read", "bf16", lambda: torch.sum(x), note, bytes=size)
        half = size // 4
        row("hbm_copy", "bf16", lambda: x[:half].copy_(x[half:2 * half]), note, bytes=size)
        del x
        torch.cuda.empty_cache()


def vectors():
    for tokens, hidden in ((2048, 4096), (8192, 4096), (8192, 8192), (8192, 12288)):
        x = torch.randn(tokens, hidden, device=DEVICE, dtype=torch.bfloat16)
        y = torch.randn_like(x)
        w = torch.randn(hidden, device=DEVICE, dtype=torch.bfloat16)
        n = x.numel() * 2
        row("elem_add", "bf16", lambda: torch.add(x, y), bytes=3 * n, m=tokens, n=hidden)
        row("elem_rmsnorm", "bf16", lambda: F.rms_norm(x, (hidden,), w), bytes=2 * n, m=tokens, n=hidden)
        row("elem_layernorm", "bf16", lambda: F.layer_norm(x, (hidden,), w, w), bytes=2 * n, m=tokens, n=hidden)
        row("elem_silu", "bf16", lambda: F.silu(x), bytes=2 * n, m=tokens, n=hidden)
        row("elem_gelu", "bf16", lambda: F.gelu(x), bytes=2 * n, m=tokens, n=hidden)
    for tokens, vocabulary in ((2048, 32000), (8192, 32000), (4096, 128256)):
        logits = torch.randn(tokens, vocabulary, device=DEVICE)
        target = torch.randint(vocabulary, (tokens,), device=DEVICE)
        row("cross_entropy_forward", "fp32", lambda: F.cross_entropy(logits, target), m=tokens,
            n=vocabulary, bytes=4 * logits.numel())
    for count in (10**7, 10**8, 10**9):
        p = torch.nn.Parameter(torch.randn(count, device=DEVICE))
        p.grad = torch.randn_like(p)
        optimizer = torch.optim.AdamW([p], fused=True)
        row("adamw", "fp32", optimizer.step, "16 bytes read and 12 written per parameter",
            m=count, bytes=28 * count)
        del p, optimizer
        torch.cuda.empty_cache()


def attention():
    for batch, heads, kv_heads, width, length in (
            (8, 32, 32, 64, 1024), (4, 32, 32, 128, 1024), (4, 32, 32, 128, 2048), (2, 32, 8, 128, 4096),
            (1, 32, 8, 128, 8192), (1, 32, 8, 128, 16384), (1, 8, 8, 128, 8192), (1, 96, 96, 128, 2048)):
        def tensor(h):
            return torch.randn(batch, h, length, width, device=DEVICE, dtype=torch.bfloat16,
                               requires_grad=True)
        q, k, v = tensor(heads), tensor(kv_heads), tensor(kv_heads)

        def forward():
            return F.scaled_dot_product_attention(q, k, v, is_causal=True,
                                                  enable_gqa=heads != kv_heads)
        flops = 2 * batch * heads * length * length * width  # two products, half of each
        shape = dict(batch=batch, heads=heads, head_dim=width, seq_len=length)
        note = f"causal; {kv_heads} key-value heads; FLOPs of the causal half"
        row("attention_forward", "bf16", forward, note, flops=flops, **shape)
        out = forward()
        grad = torch.randn_like(out)
        row("attention_backward", "bf16",
            lambda: torch.autograd.grad(out, (q, k, v), grad, retain_graph=True), note,
            flops=2.5 * flops, **shape)


class Layer(torch.nn.Module):
    """One block of Llama: RMSNorm, grouped attention with rotation left out, SwiGLU."""

    def __init__(self, hidden, heads, kv_heads, ffn):
        super().__init__()
        self.heads, self.kv_heads, self.width = heads, kv_heads, hidden // heads
        options = dict(bias=False, device=DEVICE, dtype=torch.bfloat16)
        self.qkv = torch.nn.Linear(hidden, (heads + 2 * kv_heads) * self.width, **options)
        self.out = torch.nn.Linear(hidden, hidden, **options)
        self.up = torch.nn.Linear(hidden, 2 * ffn, **options)
        self.down = torch.nn.Linear(ffn, hidden, **options)
        self.norms = torch.nn.ParameterList(
            torch.ones(hidden, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))

    def forward(self, x):
        batch, length, hidden = x.shape
        y = self.qkv(F.rms_norm(x, (hidden,), self.norms[0]))
        y = y.view(batch, length, -1, self.width).transpose(1, 2)
        q, k, v = y.split([self.heads, self.kv_heads, self.kv_heads], dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, hidden))
        gate, up = self.up(F.rms_norm(x, (hidden,), self.norms[1])).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def layers():
    for name, hidden, heads, kv_heads, ffn, lengths in (
            ("llama-7b", 4096, 32, 32, 11008, (2048, 4096)),
            ("llama-8b", 4096, 32, 8, 14336, (4096, 8192)),
            ("llama-70b", 8192, 64, 8, 28672, (4096, 8192)),
            ("llama-405b-eighth", 16384, 128, 8, 53248, (4096,))):
        layer = Layer(hidden, heads, kv_heads, ffn)
        weights = sum(p.numel() for p in layer.parameters())
        for length in lengths:
            x = torch.randn(1, length, hidden, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
            flops = 2 * weights * length + 2 * heads * length * length * (hidden // heads)
            shape = dict(batch=1, heads=heads, head_dim=hidden // heads, seq_len=length, m=hidden, n=ffn)
            with torch.no_grad():
                row("layer_forward", "bf16", lambda: layer(x), f"{name}; no graph", flops=flops, **shape)
            out = layer(x)
            grad = torch.randn_like(out)
            inputs = [x, *layer.parameters()]
            row("layer_backward", "bf16",
                lambda: torch.autograd.grad(out, inputs, grad, retain_graph=True), name,
                flops=2 * flops, **shape)
            del x, out, grad, inputs
        del layer
        torch.cuda.empty_cache()


def launches():
    x = torch.zeros(1, device=DEVICE)
    row("launch_pipelined", "fp32", lambda: x.add_(1), "one element, one kernel after the other")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(100):
            x.add_(1)
    row("launch_graph_100", "fp32", graph.replay, "100 kernels of one element in a graph")


def sustained():
    """The same product for two seconds: what the power limit leaves."""
    for size in (4096, 8192):
        a = torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16)
        b = torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16)
        taken = time_us(lambda: torch.mm(a, b), least_us=2_000_000, repetitions=3)
        global rows
        rows += 1
        print(f"gemm_sustained-{rows},{NAME},gemm_sustained,bf16,{size},{size},{size},,,,,,{2 * size**3},"
              f"{taken:.3f},two seconds on end; random data", flush=True)


if __name__ == "__main__":
    print("id,accelerator,kind,dtype," + ",".join(COLUMNS) + ",time_us,notes")
    for part in (launches, memory, vectors, attention, layers, gemms, sustained):
        part()
