# Everyday commands. `./run` and `./test` need no `just`; these do the longer work.

# List the recipes.
default:
    @just --list

# Format, lints, documentation and every test: what CI runs.
ci:
    .ci/run

# A minute of fuzzing per target (`just fuzz 600` for ten).
fuzz seconds="60":
    fuzz/run --seconds {{seconds}}

# Benches against the floor and the criterion ratios.
bench:
    bench/run

# Speak the prompts anew.
prompts:
    announcements/prompts/ja/generate.sh

# Plants forty bugs, one at a time, and lets storms look for each (`just hunt 17-name`; ten CPU-minutes for what is not found).
hunt *options:
    tests/planted/hunt {{options}}

# Storms from fresh seeds (`just storm 10000`, `just storm 1 --from SEED`); with `--udp` no peer is reached by TCP.
storm seeds="1000" *options:
    cargo run --quiet --profile storm -p denwaban-tests --bin storm -- --seeds {{seeds}} {{options}}

# Write conformance/matrix.md anew: RFC section, code, test.
matrix:
    cargo run --quiet --package denwaban-conformance --bin matrix
