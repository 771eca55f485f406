# Sourced: KUBESWEEP and MAKE_DUMP name the programs to test with; what nobody named is built as a release.
if [ -z "${KUBESWEEP:-}" ]; then
    cargo build --locked --release --quiet
    KUBESWEEP="$PWD/target/release/kubesweep"
fi
if [ -z "${MAKE_DUMP:-}" ]; then
    cargo build --locked --release --quiet --example make_dump
    MAKE_DUMP="$PWD/target/release/examples/make_dump"
fi
export KUBESWEEP MAKE_DUMP
