# Running commands as on a bare machine: sourced by the gate.
#
# The PATH has links to a Rust toolchain, a C compiler with its binutils, git, sh and coreutils, and to
# nothing else. Where root runs the gate, an account of its own runs them, which can mount nothing and
# read nothing of root's. All steps of the gate share its cargo home, so that nothing is built twice.

# Makes the account, the directory of links and the cargo home.
bare_setup() {
    BARE=$(mktemp -d /var/tmp/meldb-gate.XXXXXX)
    chmod 755 "$BARE"
    BARE_USER=$(id -un)
    trap bare_cleanup EXIT
    if [ "$(id -u)" = 0 ] && command -v useradd >/dev/null && command -v su >/dev/null; then
        BARE_USER=meldb-gate
        id "$BARE_USER" >/dev/null 2>&1 ||
            useradd --system --home-dir "$BARE/home" --shell /bin/sh "$BARE_USER"
    fi
    mkdir -p "$BARE/bin" "$BARE/home" "$BARE/tmp"
    bare_rust
    bare_links
    bare_own "$BARE/home" "$BARE/tmp"
    # The links go before what is found here, so that all steps use one toolchain.
    export CARGO_HOME=$BARE/cargo PATH=$BARE/toolchain/bin:$PATH
    if ! bare test -r "$PWD/Cargo.toml"; then
        echo "$BARE_USER cannot read $PWD: all steps work on a copy"
        cp -a . "$BARE/checkout"
        cd "$BARE/checkout"
    fi
    mkdir -p target
    bare_own target
    echo "account $BARE_USER, PATH with $(find "$BARE/bin" -type l | wc -l) programs"
}

# The toolchain and the downloaded packages, readable to the account. Copies are hard links: the files
# stay root's, and the directories become the account's, where cargo unpacks the packages and takes locks.
# What was unpacked before is left out: some packages have files that only their owner may read.
bare_rust() {
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} toolchain
    toolchain=$(rustc --print sysroot)
    mkdir -p "$BARE/cargo/registry"
    bare_copy "$toolchain" "$BARE/toolchain"
    bare_copy "$cargo_home/registry/index" "$BARE/cargo/registry/index"
    bare_copy "$cargo_home/registry/cache" "$BARE/cargo/registry/cache"
    local config
    for config in config config.toml; do
        [ ! -f "$cargo_home/$config" ] || install -m 644 "$cargo_home/$config" "$BARE/cargo/$config"
    done
    find "$BARE/cargo" -type d -exec chown "$BARE_USER" {} +
}

# Gives directories and what is in them to the account.
bare_own() {
    [ "$BARE_USER" = "$(id -un)" ] || chown -R "$BARE_USER" "$@"
}

bare_copy() {
    [ -d "$1" ] || return 0
    cp -al "$1" "$2" 2>/dev/null || { rm -rf "$2" && cp -a "$1" "$2"; }
}

bare_links() {
    local program found
    for program in cargo rustc rustdoc; do
        ln -s "$BARE/toolchain/bin/$program" "$BARE/bin/$program"
    done
    for program in cc gcc as ld ar ranlib strip git sh \
        basename cat chmod chown cp cut date dd df dirname du echo env expr false head id install ln \
        ls mkdir mktemp mv nproc od paste printf pwd readlink realpath rm rmdir seq sleep sort stat \
        sync tail tee test timeout touch tr true uname uniq wc; do
        if found=$(type -P "$program"); then
            ln -s "$found" "$BARE/bin/$program"
        fi
    done
}

bare_cleanup() {
    rm -rf "$BARE"
    [ "$BARE_USER" != meldb-gate ] || userdel "$BARE_USER" 2>/dev/null || true
}

# Runs a command as on a bare machine: nothing of this environment but what it is given here.
bare() {
    local run=(
        env -i "HOME=$BARE/home" "TMPDIR=$BARE/tmp" "PATH=$BARE/bin" "CARGO_HOME=$BARE/cargo"
        CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never RUST_BACKTRACE=1 "$@"
    )
    if [ "$BARE_USER" = "$(id -un)" ]; then
        "${run[@]}"
    else
        su --shell "$(type -P bash)" "$BARE_USER" --command "$(printf '%q ' "${run[@]}")"
    fi
}

# The first of the README's two commands, and the first request that it prints.
bare_demo() {
    local out=$BARE/tmp/demo started=$SECONDS pid
    mkdir -p "$out"
    bare_own "$out"
    # cargo becomes the program, which so has the id that the shell had.
    # shellcheck disable=SC2016
    bare sh -c 'echo $$ >"$1/pid"; exec cargo run --release -- demo --dir "$1/store" \
        --listen 127.0.0.1:0 >"$1/out" 2>"$1/err"' sh "$out" &
    pid=$!
    until grep -q '^curl' "$out/out" 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || { cat "$out/out" "$out/err"; return 1; }
        sleep 0.5
    done
    sleep 1
    # The first printed line is the merge: run it as printed, and see that it merged.
    awk '/^curl/{found=1} found{print} found && !/\\$/{exit}' "$out/out" >"$BARE/first.sh"
    bash "$BARE/first.sh" >"$BARE/merged"
    echo "answers after $((SECONDS - started)) s"
    cat "$BARE/merged"
    python3 - "$BARE/merged" <<'PY'
import json, sys
document = json.load(open(sys.argv[1]))
assert document["role"] == "owner", document
assert document["updatedBy"] and document["updated"] > 0, document
assert len(document) > 4, document
PY
    kill -TERM "$(cat "$out/pid")"
    wait "$pid"
}

# The second of the README's two commands. Only what needs a tool may be skipped, and it says so.
bare_tests() {
    bare cargo test --workspace 2>&1 | tee "$BARE/tests"
    grep '^SKIPPED: [0-9]* tests in this run' "$BARE/tests"
}
