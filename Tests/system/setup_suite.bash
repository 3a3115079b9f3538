# Brings the cluster up before all test files, and takes it down afterwards if it was down before.
# shellcheck shell=bash

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/helpers.bash"

setup_suite() {
    local options=(--prefix "$PREFIX")
    export SPUNNEL_WAS_UP=no
    if [[ -e $STATE/cluster ]]; then
        SPUNNEL_WAS_UP=yes
        # A cluster that was made with policies keeps them. All tests pass there too, or say why
        # they are skipped.
        options+=(--policy "$POLICY")
    fi
    "$CLUSTER/up" "${options[@]}" 3>&-
    # Every user of every host can read this folder.
    mkdir -p "$STATE/home/tools"
    install -m 755 "$TESTS"/{service,client,web,bad_input,hostile}.py "$STATE/home/tools/"
}

teardown_suite() {
    [[ $SPUNNEL_WAS_UP == yes ]] || "$CLUSTER/down" 3>&-
}
