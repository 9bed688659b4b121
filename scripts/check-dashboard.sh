#!/bin/bash
# The dashboard in a real browser: a server of its own, empty at first; then two jobs, one whose gradients vanish and
# one that is healthy. Chromium runs the page and prints the document that it has become: what must stand there does, and
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

post() { # NAME ACTIVATION BATCH_NORM
    local layer="{\"units\": 16, \"activation\": \"$2\", \"batch_norm\": $3}"
    curl -fsS --json "{\"name\": \"$1\", \"dataset\": {\"generator\": \"spirals\", \"rows\": 300},
        \"model\": {\"layers\": [$layer, $layer, $layer, $layer]}, \"training\": {\"epochs\": 5}}" "$url/v1/jobs" |
        sed -E 's/.*"id":"([^"]*)".*/\1/'
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
view healthy-dark-narrow 420 "$url/#$healthy" --blink-settings=preferredColorScheme=0
expect "the other" 'id="name">healthy'
expect "batch normalisation's norms" '<td>batch_norm_1</td>'

printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed -eq 0 ]]
