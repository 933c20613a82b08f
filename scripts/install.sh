# Sourced by `run`, `test` and `.ci/run`: installs what a fresh Debian machine lacks, and nothing that is there.

need_rust() {
    command -v cargo >/dev/null && return
    [ -x "$HOME/.cargo/bin/cargo" ] && { PATH=$HOME/.cargo/bin:$PATH; return; }
    echo "cargo was not found; install Rust 1.94 or newer (https://rustup.rs) and run this again" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need_debian COMMAND:PACKAGE ... installs each package whose command is missing. Debian keeps servers in /usr/sbin.
need_debian() {
    local missing=() pair
    export PATH=$PATH:/usr/sbin
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} = 0 ] && return
    echo "installing ${missing[*]}" >&2
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# keep_idle SERVICE: keeps Debian from starting a server that is installed next, which would take the tests' ports.
keep_idle() {
    [ -e "/lib/systemd/system/$1.service" ] && return
    as_root mkdir -p /etc/systemd/system
    as_root ln -sfn /dev/null "/etc/systemd/system/$1.service"
}

need_nextest() {
    cargo nextest --version >/dev/null 2>&1 && return
    echo "building cargo-nextest" >&2
    cargo install --locked cargo-nextest
}

# need_python MODULE:PACKAGE ... installs Python packages of the independent readers and telephones into ./target/python.
need_python() {
    local place pair
    place=$PWD/${CARGO_TARGET_DIR:-target}/python
    case ${CARGO_TARGET_DIR:-} in /*) place=$CARGO_TARGET_DIR/python ;; esac
    case ":${PYTHONPATH:-}:" in *":$place:"*) ;; *) export PYTHONPATH=$place${PYTHONPATH:+:$PYTHONPATH} ;; esac
    for pair in "$@"; do
        python3 -c "import ${pair%%:*}" 2>/dev/null && continue
        echo "installing ${pair##*:} for the tests" >&2
        python3 -m pip install --quiet --disable-pip-version-check --target "$place" "${pair##*:}"
    done
}
