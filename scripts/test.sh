#!/usr/bin/env bash
# Runs every test, the Rust ones and those of tests/node, also when some fail, and closes with one line that sums the
# counts which the two runners print themselves: 'N passed, M failed', with ', K skipped' where some were.
# Arguments, if any, name the files of tests/node to run (and then no Rust test is run).
set -uo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target"
log="$(realpath "$target")/test.log"
: >"$log"
bad=0

node_log="$(dirname "$log")/test-node.log"

# Runs files of tests/node, all without arguments; what it prints is in $node_log, too.
run_node() {
  (cd tests/node && node --test --test-concurrency=1 --test-reporter=spec "$@") 2>&1 | tee "$node_log"
  return "${PIPESTATUS[0]}"
}

if [ "$#" -eq 0 ]; then
  cargo test --workspace --locked --no-fail-fast 2>&1 | tee -a "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || bad=1
fi

# The binary and the examples that cargo test has built beside the tests; this names them and does nothing when they are fresh.
if cargo build --locked && cargo build --locked --workspace --examples; then
  if ! run_node "$@"; then
    # Browsers on a busy machine stumble now and then: a few files that fail are run once more, and count by that. Both runs are shown.
    mapfile -t again < <(sed -n 's/^test at \([^:]*\.test\.mjs\):.*/\1/p' "$node_log" | sort -u)
    if [ "${#again[@]}" -gt 0 ] && [ "${#again[@]}" -le 3 ]; then
      sed -i 's/^ℹ fail .*/ℹ fail 0/; s/^ℹ cancelled .*/ℹ cancelled 0/' "$node_log"
      cat "$node_log" >>"$log"
      echo "Once more: ${again[*]}"
      run_node "${again[@]}" || bad=1
    else
      bad=1
    fi
  fi
  cat "$node_log" >>"$log"
else
  bad=1
fi

# 'test result: ok. 12 passed; 0 failed; 1 ignored; …' a Rust binary, 'ℹ pass 34' a run of node's.
awk -v bad="$bad" '
  /^test result:/ { passed += $4; failed += $6; skipped += $8 }
  /^ℹ pass /     { passed += $3 }
  /^ℹ fail /     { failed += $3 }
  /^ℹ cancelled / { failed += $3 }
  /^ℹ (skipped|todo) / { skipped += $3 }
  END {
    # A run that broke before it could count (a build error, say) is a failure too.
    if (bad && failed == 0) failed = 1
    if (passed == 0) failed += (failed == 0)
    printf "%d passed, %d failed", passed, failed
    if (skipped) printf ", %d skipped", skipped
    printf "\n"
    exit failed > 0
  }' "$log"
