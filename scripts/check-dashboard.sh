#!/bin/bash
# The dashboard in a real browser: a server of its own, empty at first; then two jobs, one whose gradients vanish and
# one that is healthy, one that diverges, a long one, and one that a client reports; at last two compared. Chromium runs the page and prints the document that it has become: what must stand there does, and
# nothing was refused by the page's own policy. With SHOTS=FOLDER each view is kept as a picture, too.
set -euo pipefail
cd "$(dirname "$0")/.."

nabla=${NABLA:-build/nabla}
folder=$(mktemp -d)
passed=0
failed=0
server=

end() {
    if [[ -n $server ]]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap end EXIT

# browse WIDTH URL [FLAG…]: the document once the page is quiet; complaints go to the file "complaints".
browse() {
    local width=$1 url=$2
    shift 2
    timeout -k 5 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars \
        --user-data-dir="$folder/profile" --window-size="$width,1500" --virtual-time-budget=8000 \
        --enable-logging=stderr --v=0 "$@" "$url" 2>"$folder/complaints"
}

# expect NAME PATTERN: the newest document has it.
expect() {
    if grep -q -E -e "$2" "$folder/document"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'not ok: %s: nothing like %s\n' "$1" "$2"
    fi
}

view() {
    local name=$1 width=$2 url=$3
    shift 3
    browse "$width" "$url" --dump-dom "$@" >"$folder/document"
    if [[ -n ${SHOTS:-} ]]; then
        browse "$width" "$url" --screenshot="$SHOTS/$name.png" "$@" >/dev/null
    fi
    if grep -E 'CONSOLE.*(Content Security Policy|Error|Uncaught)' "$folder/complaints"; then
        failed=$((failed + 1))
        printf 'not ok: %s: the page complains\n' "$name"
    else
        passed=$((passed + 1))
    fi
}

post() { # NAME ACTIVATION BATCH_NORM [RATE [TRAINING]]
    local layer="{\"units\": 16, \"activation\": \"$2\", \"batch_norm\": $3}"
    curl -fsS --json "{\"name\": \"$1\", \"dataset\": {\"generator\": \"spirals\", \"rows\": 300},
        \"model\": {\"layers\": [$layer, $layer, $layer, $layer]}, \"telemetry\": {\"every\": 1},
        \"optimizer\": {\"type\": \"sgd\", \"learning_rate\": ${4:-0.01}}, \"training\": {${5:-\"epochs\": 5}}}" "$url/v1/jobs" |
        sed -E 's/.*"id":"([^"]*)".*/\1/'
}

# A client's job with a metric of its own, NaN in the middle.
report() {
    local made id token
    made=$(curl -fsS --json '{"name": "reported", "executor": "client"}' "$url/v1/jobs")
    id=$(sed -E 's/.*"id":"([^"]*)".*/\1/' <<<"$made")
    token=$(sed -E 's/.*"token":"([^"]*)".*/\1/' <<<"$made")
    curl -fsS -o "$folder/ignored" -H "Authorization: Bearer $token" "$url/v1/jobs/$id/metrics" \
        --json '{"attempt": 1, "metrics": {"steps": [1, 2, 3, 4], "columns": {"reward": [1, "NaN", 3, 4]}}}'
    echo "$id"
}

"$nabla" serve --listen 127.0.0.1:0 --data "$folder/data" --port-file "$folder/port" --log-level error >/dev/null &
server=$!
for _ in {1..300}; do
    if [[ -s $folder/port ]]; then break; fi
    sleep 0.1
done
url=http://127.0.0.1:$(<"$folder/port")

view empty 1280 "$url/"
expect "an empty server" 'No job yet'
expect "an empty server" 'id="status" role="status">ready'

vanishing=$(post vanishing sigmoid false)
healthy=$(post healthy relu true)
"$nabla" wait "$vanishing" --url "$url" >/dev/null
"$nabla" wait "$healthy" --url "$url" >/dev/null

view vanishing 1280 "$url/#$vanishing"
expect "the list" "href=\"#$healthy\""
expect "the chosen one" "href=\"#$vanishing\" aria-current=\"page\""
expect "its state" 'class="state succeeded">succeeded'
expect "the loss" 'aria-label="Loss of vanishing over the steps, newest [0-9.]+'
expect "norms of each layer" 'aria-label="Gradient norm of 5 layers over the steps; newest'
expect "a heat map's cell" '<title>dense_1, step [0-9]+: [0-9.e-]+</title>'
expect "a figure of a layer" '<td>dense_5</td>'
expect "what happened" '</time> succeeded'
expect "more curves, closed" '<figure id="curve-learning_rate"'
expect "a link of the list, and a box to compare it" 'type="checkbox" value="job_[a-z0-9]+" aria-label="Compare healthy"'
view healthy-dark-narrow 420 "$url/#$healthy" --blink-settings=preferredColorScheme=0
expect "the other" 'id="name">healthy'
expect "batch normalisation's norms" '<td>batch_norm_1</td>'

diverged=$(post diverged relu false 1e30 '"epochs": 20, "stop_on_nan": true')
long=$(post long sigmoid false 0.01 '"epochs": 2500')
client=$(report)
"$nabla" wait "$diverged" --url "$url" >/dev/null && exit 1 # it fails
"$nabla" wait "$long" --url "$url" >/dev/null

view diverged 1280 "$url/#$diverged"
expect "why it failed" '<p id="error" role="alert">diverged: the loss of step [0-9]+ is (NaN|Infinity)</p>'
expect "where the loss is lost" '<path class="lost" d="M[0-9.]+ [0-9.]+v6"'
view long 1280 "$url/#$long"
expect "20,000 steps" 'step 20000 of 20000'
expect "the loss' extremes" '<path d="M[0-9. LM]+Z" class="band one"'
points=$(grep -o -E '<path d="[^"]*" class="one"' "$folder/document" | sed -n 1p | tr -cd L | wc -c)
if [[ $points -gt 100 && $points -le 1280 ]]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "not ok: the loss of 20,000 steps has $points points"
fi
view client 1280 "$url/#$client"
expect "a metric of the client's own" '<figure id="curve-reward"><figcaption>reward</figcaption><svg'
expect "no curve that was not recorded" '<figure id="loss" hidden=""'
view compared 1280 "$url/#$vanishing,$healthy"
expect "both named" 'id="compared">2 jobs compared'
expect "their figures" "<a href=\"#$healthy\">healthy</a>"
expect "their curves" 'aria-label="Validation loss of 2 jobs over the steps"'
expect "their boxes" 'aria-label="Compare vanishing"'

printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed -eq 0 ]]
