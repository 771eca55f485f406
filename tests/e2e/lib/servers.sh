# Sourced: serve S3 AZURE GCS starts moto, Azurite and fake-gcs-server on these ports of loopback and waits for them. It needs
# work, PYTHON with their packages and AZURITE, and adds to servers what is to be stopped.
await() {
    for _ in $(seq 100); do
        if (: </dev/tcp/127.0.0.1/"$1") 2>/dev/null; then return; fi
        sleep 0.2
    done
    echo "no server on port $1" >&2
    exit 1
}

serve() {
    local gcs port
    gcs="$(find "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" -name 'fake-gcs-server-linux-amd64' | head -1)"
    chmod +x "$gcs"
    "$(dirname "$PYTHON")/moto_server" -H 127.0.0.1 -p "$1" >"$work/s3.log" 2>&1 &
    servers+=($!)
    (cd "$work" && exec "$AZURITE" --blobHost 127.0.0.1 --blobPort "$2" --inMemoryPersistence --disableTelemetry --silent \
        --skipApiVersionCheck) >"$work/azure.log" 2>&1 &
    servers+=($!)
    "$gcs" -scheme http -host 127.0.0.1 -port "$3" -backend memory -public-host "127.0.0.1:$3" >"$work/gcs.log" 2>&1 &
    servers+=($!)
    for port in "$@"; do await "$port"; done
}
