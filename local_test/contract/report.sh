#!/usr/bin/env bash
# Runs the contract suite on our images and on the stock ones, and writes the results side by side to docs/contract.md.
# Exits with 1 if one of our images fails a clause, or if the stock images fail no clause, since the suite then proves nothing.
#   DATA, HYPERPARAMETERS      as in make contract
#   TRAIN_IMAGE, SERVE_IMAGE   ours (default byoc-classifier-train:cpu and byoc-classifier-serve:cpu)
#   BASE_IMAGE, CA_BUNDLE      as in local_test/plain/build.sh
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/../.."
out=runs/contract
mkdir -p "$out"
local_test/plain/build.sh
run() { # NAME KIND IMAGE [OPTION...]
  local name=$1 kind=$2 image=$3
  shift 3
  echo "== $name $kind: $image"
  # pytest exits with 1 if a clause failed; any other status means that the suite did not run.
  .venv/bin/pytest -q --tb=no -p no:cacheprovider "local_test/contract/test_$kind"*.py --image "$image" --data "$DATA" \
    --results "$out/$name-$kind.json" "$@" || [ $? = 1 ]
}
run ours train "${TRAIN_IMAGE:-byoc-classifier-train:cpu}" --keep-model "$out/model" --hyperparameters "$HYPERPARAMETERS"
run ours serve "${SERVE_IMAGE:-byoc-classifier-serve:cpu}" --model "$out/model"
run stock train byoc-plain-train --keep-model "$out/stock-model"
run stock serve byoc-plain-serve --model "$out/stock-model"
.venv/bin/python -m local_test.contract.table --out docs/contract.md --head local_test/contract/page.md \
  "Training:ours=$out/ours-train.json" "Training:stock=$out/stock-train.json" \
  "Serving:ours=$out/ours-serve.json" "Serving:stock=$out/stock-serve.json"
failed() { grep -c '"result": "FAIL"' "$@" | awk -F: '{ count += $NF } END { print count + 0 }'; }
ours=$(failed "$out"/ours-*.json) stock=$(failed "$out"/stock-*.json)
echo "contract: docs/contract.md written; ours fail $ours clauses, the stock images $stock"
[ "$ours" = 0 ] && [ "$stock" != 0 ]
