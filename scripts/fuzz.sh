#!/bin/bash
# scripts/fuzz.sh RUNS TARGET...   search; scripts/fuzz.sh keep TARGET...   bring what was found into tests/fuzz/corpus.
# Both want the programs that `make fuzz` builds.
#
# A search lets each named fuzz target run until it has made RUNS runs in all, counted over all calls: what was found lies in
# build/fuzz/corpus/NAME and is where the next call goes on. Prints one line a target: runs, edges, the run that found
# the newest edge.
#
# What is kept is the least that still reaches all that was reached: inputs under a name of their own stay, of the
# rest, named by their hashes, those that reach nothing beyond smaller ones go.
set -euo pipefail
runs=${1:-}
runs=${runs:-100000}
shift
hash_name='^[0-9a-f]{40}$'
slice=${FUZZ_SLICE:-1000000} # runs of one process

# What has been done so far: "runs newest edges": runs, the run of the newest edge, and how many there are.
state_of() { if [[ -s $1 ]]; then cat "$1"; else echo "0 0 0"; fi; }

search() {
    local name=$1 work=build/fuzz/corpus/$1 state=build/fuzz/$1.state log=build/fuzz/$1.log
    local dictionary=tests/fuzz/dictionary/$1.txt made newest edges step found arguments
    mkdir -p "$work"
    read -r made newest edges <<<"$(state_of "$state")"
    while ((made < runs)); do
        step=$((runs - made < slice ? runs - made : slice))
        arguments=(-runs="$step" -seed=$((made + 1)) -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
            -artifact_prefix="build/fuzz/$name-" "$work" "tests/fuzz/corpus/$name")
        if [[ -f $dictionary ]]; then arguments+=(-dict="$dictionary"); fi
        if ! "build/fuzz/search/fuzz_$name" "${arguments[@]}" >"$log" 2>&1; then
            grep -E "ERROR|not so|failed inside|runtime error|Test unit written" "$log" || tail -n 20 "$log"
            echo "FAILED $name after $made runs: see $log"
            return 1
        fi
        # libFuzzer tells of every run that raised the count of edges ("cov:"); the first lines are the corpus read in.
        # What a service does only now and then, a search before has reached, too, but not the reading of the corpus.
        read -r found edges <<<"$(awk -v before="${edges:-0}" '
            { edges = 0; for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
            $2 == "INITED" { most = edges > before ? edges : before }
            $2 != "INITED" && edges > most { if (most) at = substr($1, 2); most = edges }
            END { print at + 0, most + 0 }' "$log")"
        if ((found > 0)); then newest=$((made + (found < step ? found : step))); fi
        made=$((made + step))
        echo "$made $newest $edges" >"$state"
    done
    printf '%-12s %9d runs, %5d edges, the newest at run %d\n' "$name" "$made" "$edges" "$newest"
}

keep() {
    local name=$1 kept=tests/fuzz/corpus/$1 found=build/fuzz/corpus/$1 least=build/fuzz/$1.least file
    rm -rf "$least"
    mkdir -p "$least" "$found"
    for file in "$kept"/*; do
        if [[ ! ${file##*/} =~ $hash_name ]]; then cp "$file" "$least"; fi
    done
    if ! "build/fuzz/search/fuzz_$name" -merge=1 -timeout=20 "$least" "$kept" "$found" >"build/fuzz/$name.log" 2>&1; then
        echo "FAILED $name: see build/fuzz/$name.log"
        return 1
    fi
    rm -r "$kept"
    mv "$least" "$kept"
    printf '%-12s %5d inputs kept\n' "$name" "$(find "$kept" -type f | wc -l)"
}

status=0
for name in "$@"; do
    if [[ $runs == keep ]]; then keep "$name"; else search "$name"; fi || status=1
done
exit $status
