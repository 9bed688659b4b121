#!/bin/bash
# Tokens and TLS as an operator meets them: a live server that asks for both, with a certificate made here.
# Speaks TAP.
set -u
nabla=${NABLA:-build/nabla}
folder=$(mktemp -d)
data=$folder/data
trap 'stop; rm -rf "$folder"' EXIT
number=0
server=

case_is() { # name, expected, got
    number=$((number + 1))
    if [[ $3 == "$2" ]]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        printf '# expected %q\n# got %q\n' "$2" "$3"
    fi
}

certificate() { # subject
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
}

start() {
    rm -f "$folder/port" "$folder/said"
    mkfifo "$folder/said"
    "$nabla" serve --data "$data" --port-file "$folder/port" "$@" >"$folder/said" 2>>"$folder/log" &
    server=$!
    read -r _ <"$folder/said" # its first line: it listens
}

stop() {
    [[ -z $server ]] || { kill "$server" && wait "$server"; } 2>/dev/null
    server=
}

ask() { # path, curl's options
    local path=$1
    shift
    curl -s -o "$folder/answer" -w '%{http_code}' --max-time 20 --cacert "$folder/cert.pem" "$@" "$url$path"
}

subject() {
    openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | sed -n 's/^subject=CN = //p'
}

echo 1..21
certificate first
reader=$("$nabla" token create reader --data "$data")
start --listen 127.0.0.1:0 --auth --tls-cert "$folder/cert.pem" --tls-key "$folder/key.pem" --log-level debug
port=$(<"$folder/port")
url=https://127.0.0.1:$port

case_is "health is for anyone" 200 "$(ask /healthz)"
case_is "the index is for anyone" 200 "$(ask /)"
case_is "jobs are not" 401 "$(ask /v1/jobs)"
case_is "nor with a wrong token" 401 "$(ask /v1/jobs --oauth2-bearer nabla_wrong)"
case_is "a reader may read" 200 "$(ask /v1/jobs --oauth2-bearer "$reader")"
case_is "and compute" 200 "$(ask /v1/losses --oauth2-bearer "$reader" --json '{"logits":[1,2],"labels":1}')"
case_is "but not write" 403 "$(ask /v1/jobs --oauth2-bearer "$reader" --json '{}')"
case_is "which is said" 1 "$(grep -c 'needs the scope write' "$folder/answer")"
writer=$("$nabla" token create writer --scope write --data "$data")
case_is "a token made while the server runs" 202 "$(ask /v1/jobs --oauth2-bearer "$writer" --json '{"executor":"client"}')"
job=$(grep -o 'job_[a-z0-9]*' "$folder/answer" | head -n 1)
token=$(sed -n 's/.*"token":"\([^"]*\)".*/\1/p' "$folder/answer")
case_is "a job's token reads its job" 200 "$(ask "/v1/jobs/$job" --oauth2-bearer "$token")"
case_is "and no other" 401 "$(ask /v1/jobs --oauth2-bearer "$token")"
"$nabla" token revoke reader --data "$data"
case_is "a revoked token is none" 401 "$(ask /v1/jobs --oauth2-bearer "$reader")"
case_is "no secret stands in the folder or the log" 1 \
    "$(grep -rqF -e "$reader" -e "$writer" "$data" "$folder/log"; echo $?)"
case_is "two are listed, none with its secret" "1 0" \
    "$("$nabla" token list --data "$data" | grep -c writer) $("$nabla" token list --data "$data" | grep -cF "$writer")"

for version in tls1_2 tls1_3; do
    case_is "$version is spoken" 1 \
        "$(openssl s_client -connect "127.0.0.1:$port" -$version </dev/null 2>&1 | grep -c '^New, TLSv1\.')"
done
case_is "TLS 1.1 is not" 0 \
    "$(openssl s_client -connect "127.0.0.1:$port" -tls1_1 -cipher ALL@SECLEVEL=0 </dev/null 2>&1 | grep -c '^New, TLSv1\.')"

# A connection that was made before goes on over the reload.
coproc old { exec openssl s_client -quiet -connect "127.0.0.1:$port" 2>/dev/null; }
printf 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n' >&"${old[1]}"
read -r before <&"${old[0]}"
certificate second
kill -HUP "$server"
for ((i = 0; i < 100; i++)); do
    [[ $(subject) == second ]] && break
done
case_is "SIGHUP: new connections see the new certificate" second "$(subject)"
printf 'GET /v1/none HTTP/1.1\r\nHost: a\r\n\r\n' >&"${old[1]}"
while read -r line <&"${old[0]}" && [[ $line != HTTP/1.1\ 4* ]]; do :; done
case_is "and old ones go on" "HTTP/1.1 200 OK,HTTP/1.1 404" "${before%$'\r'},${line:0:12}"
echo broken >"$folder/cert.pem"
kill -HUP "$server"
case_is "a broken file leaves the certificate as it is" second "$(subject)"
stop

start --listen 0.0.0.0:0
url=http://127.0.0.1:$(<"$folder/port")
case_is "where others can connect, tokens are asked for without --auth" "401 200" \
    "$(ask /v1/jobs) $(ask /v1/jobs --oauth2-bearer "$writer")"
