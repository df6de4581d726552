#!/usr/bin/env bash
# The whole path in front of the user: describe, plan, emulate, break a link, run for real, scrape.
# Needs the Release build; exits 0 only if every part worked.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/build/release/bin:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cluster=examples/clusters/dgx-h100-4.yaml
model=examples/models/llama-3.1-8b.json

show() {  # title, then the command, echoed and run
  printf '\n\033[1m%s\033[0m\n' "$1"
  shift
  printf '$ %s\n' "$*" | sed "s#$work/##g"
  "$@"
}

show "1. Describe: a cluster is a file, checked and turned into a graph" \
  railwright topology check "$cluster"
railwright topology show "$cluster"

show "2. Plan: the best way to train Llama 3.1 8B on its 32 GPUs" \
  railwright plan --model "$model" --cluster "$cluster" --accelerators 32 --global-batch 128 \
  --sequence 8192 --top 5 -o "$work/plan.json"

show "3. Emulate: a step of the best plan, and where its time goes" \
  railwright emulate --plan "$work/plan.json"

show "4. Break a fibre: one rail cable at a twentieth of its rate, and the blame moves" \
  railwright emulate --plan "$work/plan.json" --faults examples/faults/slow-fibre.yaml

show "5. Plan for this machine: four ranks, tensor parallel 2 x data parallel 2" \
  railwright plan --model examples/models/tiny-gpt.json --cluster examples/clusters/localhost.yaml \
  --accelerators 4 --global-batch 8 --sequence 128 --fix tp=2,dp=2 --top 1 -o "$work/local.json"

show "6. Run it for real with mpirun: real all-reduces, checked, measured beside predicted" \
  railwright run --plan "$work/local.json" --steps 5 --metrics-textfile "$work/metrics.prom"

printf '\n\033[1m7. Scrape: what Prometheus sees of that run\033[0m\n'
grep -E '^railwright_(build_info|plan_info|steps_total|link_transmit|predicted_step|prediction_ratio)' \
  "$work/metrics.prom"
printf '(%s lines in all)\n\nIn prometheus.yml:\n' "$(wc -l <"$work/metrics.prom")"
sed -n '/scrape_configs:/,$p' deploy/prometheus/prometheus.yml
printf '\nAll parts worked.\n'
